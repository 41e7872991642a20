"""Split a text into blocks, each with its role and form: paragraphs, fences, quotes, logs; pure, in linear time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pointsman.routing.ask.forms import LOOKED_AT, Form, form_of
from pointsman.routing.ask.labels import RULE, Label, Style, is_key, label_in, may_be_mark, own
from pointsman.routing.ask.names import Name, NameOf, Role
from pointsman.routing.ask.prose import leads

FREE = Name(Role.FREE)
OTHER = Name(Role.OTHER)
# A line of a form, `key: value`, is shorter.
_SHORT = 80
# Lines of a mail in HTML, which has no blank ones.
_HTML_LINES = ("<p", "<div", "</div", "<br", "<li")
_FENCES = ("```", "~~~", '"""', "'''")


class Block(msgspec.Struct, frozen=True, gc=False):
    """A part of a text; blocks of one `section` stand under the same label.

    `form` is None where the beginnings of `lines`, without space at their ends, tell it. `strong`: the label is a
    heading, or set off by a frame of characters. `inside`: it is weaker than a label of material above it, to which it
    may belong.
    """

    start: int
    end: int
    name: Name
    form: Form | None
    section: int
    strong: bool = False
    inside: bool = False
    lines: Sequence[str] = ()

    def look(self) -> Form:
        """Return what the block looks like."""
        return form_of(self.lines) if self.form is None else self.form


class Reader:
    """Reads the lines of a text, and keeps the label under which they stand and the fence in which they are."""

    def __init__(self, text: str, name_of: NameOf) -> None:
        self.blocks: list[Block] = []
        self._text, self._name_of = text, name_of
        self._name, self._style, self._section, self._used = FREE, Style(), 0, False
        self._begun: int | None = None
        self._lines: list[str] = []
        self._fence: tuple[int, str] | None = None
        self._file = False
        self._rules: list[tuple[str, int]] = []
        self._keys = 0
        self._form = False
        self._within = False
        """A strong label of material is above."""

    def read(self, start: int, end: int) -> None:
        """Read the lines of a part without tags."""
        at = start
        for line in self._text[start:end].split("\n"):
            plain = line.strip()
            if self._fence is not None:
                if plain.startswith(self._fence[1]):
                    self._in_fence(self._fence, plain, at + len(line))
            elif not plain:
                self._blank(at)
            elif may_be_mark(plain):
                self._line(line, plain, at)
            elif self._begun is None:
                self._begun, self._lines = at, [plain]
            elif len(self._lines) < LOOKED_AT:
                self._lines.append(plain)
            at += len(line) + 1
        self._flush(end)

    def opaque(self, start: int, end: int, name: Name, inner: tuple[int, int]) -> None:
        """Add a block that tags enclose; within a fence it is part of the fence."""
        if self._fence is not None:
            return
        self._flush(start)
        outer = self._name, self._style, self._used
        self._enter(name, Style())
        if name.role is Role.OTHER:
            self.blocks.append(Block(start, end, name, Form.TAGGED, self._section))
        else:
            self.blocks.append(Block(*inner, name, Form.PROSE, self._section))
        self._enter(outer[0], outer[1])
        self._used = outer[2]
        self._after_opaque()
        self._used = True

    def part(self, end: int) -> None:
        """End a part of the message: a label goes on to the next part only if it has nothing in this one."""
        if self._fence is not None:
            self._add(self._fence[0], end, Form.FENCE)
            self._fence = None
        self._flush(end)
        if self._used or self._name.role is Role.FREE:
            self._enter(FREE, Style())
            self._within = False

    def enclosed(self) -> list[Block]:
        """Return the blocks, those between two like rules marked so."""
        ranges: list[tuple[int, int]] = []
        left: tuple[str, int] | None = None
        for rule in self._rules:
            if left is not None and left[0] == rule[0]:
                ranges.append((left[1], rule[1]))
                left = None
            else:
                left = rule
        if not ranges:
            return self.blocks
        found: list[Block] = []
        place = 0
        for block in self.blocks:
            while place < len(ranges) and ranges[place][1] <= block.start:
                place += 1
            inside = place < len(ranges) and ranges[place][0] <= block.start
            free = inside and block.name.role is Role.FREE and block.look() is Form.PROSE
            form = Form.ENCLOSED if free else block.form
            found.append(
                msgspec.structs.replace(block, form=form, inside=block.inside or (inside and not block.strong))
            )
        return found

    def _line(self, line: str, plain: str, at: int) -> None:
        if plain.startswith(_FENCES) and (len(plain) < 7 or not plain.endswith(plain[:3])):
            self._flush(at)
            self._fence = at, plain[:3]
            self._file = "." in plain
        elif plain[0] in "-=_*#~─—+" and RULE.match(plain):
            self._rule(plain, at)
        elif plain == "--":  # a signature follows
            self._flush(at)
            self._enter(OTHER, Style(inline=True))
        else:
            label = label_in(line, plain, self._name_of)
            if label is not None and not self._ignored(label, plain):
                self._labelled(label, line, at)
            else:
                self._words(line, plain, at)

    def _in_fence(self, fence: tuple[int, str], plain: str, end: int) -> None:
        if len(plain) > len(fence[1]) + 1:
            return
        used = self._used
        self._add(fence[0], end, Form.FILE if self._file else Form.FENCE)
        self._fence, self._used = None, used
        self._after_opaque()
        self._used = True

    def _rule(self, plain: str, at: int) -> None:
        self._flush(at)
        self._rules.append((plain, at))
        if self._name.role is not Role.FREE and self._used:
            self._enter(FREE, Style())
            self._within = False

    def _words(self, line: str, plain: str, at: int) -> None:
        if plain.startswith(_HTML_LINES):
            self._flush(at)
        if is_key(plain):
            self._keys += 1
            if self._form:
                self._flush(at)
                self._enter(OTHER, Style(inline=True))
        self._append(at, plain)
        if plain[-1] in ":：" and leads(plain):
            self._flush(at + len(line))

    def _labelled(self, label: Label, line: str, at: int) -> None:
        before = line[: label.begin].strip()
        if before:
            self._append(at, before)
        self._flush(at + label.begin)
        form = self._keys >= 2 and label.style.inline
        self._keys += len(line) < _SHORT
        if label.style.heading or label.style.decorated:
            self._within = label.name is not None and label.name.role is Role.OTHER
        self._enter(label.name or FREE, label.style)
        self._form = form and self._name.role is Role.ASK
        content = line[label.content :].strip()
        if content:
            self._append(at + label.content, content)

    def _ignored(self, label: Label, plain: str) -> bool:
        """Return whether a label does not count where it stands: inside of material of a higher heading."""
        if label.name is None:
            return not self._style.decorated and not self._within
        if self._name.role is not Role.OTHER:
            return False
        level, mine = label.style.heading, self._style.heading
        if not level and not label.style.decorated:
            return label.style.inline and self._within and label.name.role in (Role.OTHER, Role.ANSWER)
        return 0 < mine < level and self._used and not own(plain)

    def _append(self, at: int, plain: str) -> None:
        if self._begun is None:
            self._begun = at
        if len(self._lines) < LOOKED_AT:
            self._lines.append(plain)

    def _blank(self, at: int) -> None:
        self._flush(at)
        self._keys, self._form = 0, False
        style = self._style
        if self._used and self._name.role is Role.OTHER and (style.sentence or style.inline) and not style.heading:
            self._enter(FREE, Style())

    def _after_opaque(self) -> None:
        """End a label that named what tags or a fence enclose."""
        named = self._name.role is Role.OTHER or (self._name.role is Role.ASK and not self._used)
        if named and not self._style.heading and not self._style.decorated:
            self._enter(FREE, Style())

    def _enter(self, name: Name, style: Style) -> None:
        self._name, self._style, self._used = name, style, False
        self._section += 1
        self._form = False

    def _flush(self, end: int) -> None:
        if self._begun is not None:
            self._add(self._begun, end, None, self._lines)
        self._begun, self._lines = None, []

    def _add(self, start: int, end: int, form: Form | None, lines: Sequence[str] = ()) -> None:
        self._used = True
        strong = bool(self._style.heading) or self._style.decorated
        inside = self._within and not strong
        self.blocks.append(Block(start, end, self._name, form, self._section, strong, inside, lines))

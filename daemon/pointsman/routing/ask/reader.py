"""Split a text into blocks, each with its role and form: paragraphs, fences, quotes, logs; pure, in linear time."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pointsman.routing.ask.blocks import TextBlock, enclosed
from pointsman.routing.ask.forms import LOOKED_AT, BlockForm, looks_asked
from pointsman.routing.ask.labels import RULE, RULED, LabelStyle, SectionLabel, is_key, label_in, may_be_mark
from pointsman.routing.ask.names import GUESS, MATERIAL, OTHER, NameOf, PartRole, RankedRole
from pointsman.routing.ask.prose import leads

FREE = RankedRole(PartRole.FREE)
# A line of a form, `key: value`, is shorter.
_SHORT = 80
# A line that asks is one of a form only behind another one.
_FIELDS = 1
_QUOTES = ('"""', "'''")
_FENCE_BEHIND = re.compile(r"(?<=[:\w.?!)] )```[\w./-]*\Z")
_FENCES = ("```", "~~~", *_QUOTES)
# A title above a line of `===` has no more words.
_TITLE = 3


class BlockParser:
    """A reader of a text's lines, which remembers the current label and fence."""

    def __init__(self, text: str, name_of: NameOf) -> None:
        self.blocks: list[TextBlock] = []
        self._text, self._name_of = text, name_of
        self._name, self._style, self._section, self._used = FREE, LabelStyle(), 0, False
        self._begun: int | None = None
        self._lines: list[str] = []
        self._fence: tuple[int, str, BlockForm] | None = None
        self._endless: set[str] = set()
        """Marks without an end in the text, so that they begin no fence."""
        self._rules: list[tuple[str, int]] = []
        self._keys = 0
        self._field: tuple[bool, bool] | None = None
        """Inside the form field with the ask: whether the names of fields are bold, and whether others are above."""
        self._other_label: tuple[int, str] | None = None
        """The indent and mark of the strong label of material above, if any."""
        self._spoken = False
        """A transcript began before any such label."""
        self._last = len(text.rstrip())

    def read(self, start: int, end: int) -> None:
        """Read the lines of a part without tags."""
        at = start
        for line in self._text[start:end].split("\n"):
            plain = line.strip()
            if self._fence is not None and self._fence[1] in self._endless:
                self._fence = None
            if self._fence is not None:
                if self._fence[1] in plain and _closes(plain, self._fence[1]):
                    self._end_fence(*self._fence, at + len(line))
            elif not plain:
                self._flush(at)
                self._blank()
            elif may_be_mark(plain):
                self._line(line, plain, at)
            elif self._begun is None:
                self._begun, self._lines = at, [plain]
            elif len(self._lines) < LOOKED_AT:
                self._lines.append(plain)
            at += len(line) + 1
        self._flush(end)

    def opaque(self, start: int, end: int, name: RankedRole, inner: tuple[int, int]) -> None:
        """Add a block enclosed in tags; inside a fence it is part of the fence."""
        if self._fence is not None:
            return
        outer = self._name, self._style, self._used
        inside = self._other_label is not None or self._name.role is PartRole.OTHER
        self._section += 1
        if name.role is PartRole.OTHER:
            self.blocks.append(TextBlock(start, end, name, BlockForm.TAGGED, self._section))
        else:
            self.blocks.append(TextBlock(*inner, name, BlockForm.PROSE, self._section, inside=inside))
        self._enter(outer[0], outer[1])
        self._used = outer[2]
        if name.role is PartRole.OTHER and outer[0].role is PartRole.OTHER and outer[2]:
            self._enter(FREE, LabelStyle())  # here the tag, not the heading, names the material
            self._other_label = None
        self._after_opaque()
        self._used = True

    def part(self, end: int) -> None:
        """End a part of the message: a label applies to the next part only if it has no content in this one."""
        again = False
        while self._fence is not None:  # a fence without an end is not a fence
            start, mark, _ = self._fence
            if again:  # blocks were left out the first time
                self._endless.add(mark)
            below = self._text[start:end].partition("\n")[2]
            self._fence, again = None, True
            self.read(end - len(below), end)
        self._endless.clear()
        if self._used:
            self._enter(FREE, LabelStyle())
            self._other_label = None

    def waits(self) -> bool:
        """Return whether a label names material that has not come yet."""
        return self._name.role is PartRole.OTHER and not self._used

    def done(self) -> list[TextBlock]:
        """Return the blocks."""
        return enclosed(self.blocks, self._rules)

    def _line(self, line: str, plain: str, at: int) -> None:
        if plain.startswith(_FENCES) and plain.count(plain[:3]) == 1 and not (line[0] in " \t" and plain[0] in "\"'"):
            self._flush(at)
            self._fence = at, plain[:3], _fence_of(plain)
        elif "```" in plain and (marks := _fences_after_words(line)):  # "The code: ```python"
            before = line[: marks[-1]]
            self._line(before, before.strip(), at)
            self._flush(at + len(before))
            self._fence = at + marks[0], "```", _fence_of(line[marks[0] :])
        elif plain[0] in RULED and RULE.match(plain) is not None:
            self._rule(plain, at)
        elif plain == "--":  # a signature follows
            self._flush(at)
            self._enter(OTHER, LabelStyle(inline=True))
        else:
            label = label_in(line, plain, self._name_of)
            if label is not None and not self._ignored(label):
                self._labelled(label, line, at)
            elif plain.startswith("<!--"):
                self._flush(at)
                self.blocks.append(TextBlock(at, at + len(line), OTHER, BlockForm.TAGGED, self._section))
            else:
                self._words(line, plain, at)

    def _end_fence(self, start: int, mark: str, form: BlockForm, end: int) -> None:
        self._fence = None
        inner = self._text[start:end].strip()[3:].removesuffix(mark)
        first, _, below = inner.partition("\n")
        inner = inner if " " in first else below
        if self._name.role is PartRole.FREE and form is BlockForm.FENCE and looks_asked(inner):
            begin = self._text.index(inner, start)
            self.opaque(start, end, GUESS, (begin, begin + len(inner)))
            return
        used = self._used
        self._add(start, end, form)
        self._used = used
        self._after_opaque()
        self._used = True

    def _rule(self, plain: str, at: int) -> None:
        if (name := self._underlined(plain)) is not None:
            self._begun, self._lines = None, []
            self._enter(name, LabelStyle("#", 1 + plain.startswith("-")))
            self._other_label = (0, "#") if name.role is PartRole.OTHER else None
            return
        self._flush(at)
        self._rules.append((plain, at))
        if self._name.role is not PartRole.FREE and self._used:
            self._enter(FREE, LabelStyle())
            self._other_label = None

    def _underlined(self, plain: str) -> RankedRole | None:
        """Return the name in a line above a rule."""
        if len(self._lines) != 1 or not plain.startswith(("=", "-")):
            return None
        (title,) = self._lines
        return self._name_of(title, True) if title[-1].isalnum() and title.count(" ") < _TITLE else None

    def _words(self, line: str, plain: str, at: int) -> None:
        if is_key(plain):
            self._keys += 1
            if self._is_field(plain):
                self._flush(at)
                self._enter(OTHER, LabelStyle(inline=True))
            elif self._keys > _FIELDS and looks_asked(plain.partition(": ")[2]) and self._may_guess():
                self._labelled(SectionLabel(GUESS, 0, line.index(": ") + 2, LabelStyle(inline=True)), line, at)
                return
        leading = plain[-1] in ":：" and self._leads(plain, at + len(line))
        if leading:
            self._flush(at)
        self._append(at, plain)
        if leading:
            self._flush(at + len(line))

    def _labelled(self, label: SectionLabel, line: str, at: int) -> None:
        if label.begin and (before := line[: label.begin].strip()):
            self._append(at, before)
        self._flush(at + label.begin)
        bold = line.lstrip()[:2] == "**"
        form = self._keys >= _FIELDS or bold
        self._keys += len(line) < _SHORT
        self._leave_material(label, line)
        content = line[label.content :].strip()
        named = form or (label.style.inline and "instruction" in line[: label.content].lower())
        guessed = named and label.name == OTHER and looks_asked(content)
        self._enter(GUESS if guessed else label.name or FREE, label.style)
        self._field = (bold, form) if label.style.inline and self._name.role is PartRole.ASK else None
        if content:
            self._append(at + label.content, content)

    def _leave_material(self, label: SectionLabel, line: str) -> None:
        """Remember whether a label is below a strong label of material, or ends its section."""
        role, mark = label.role, label.style.mark
        speaks = role is PartRole.USER or role is PartRole.ANSWER
        if self._other_label is None:
            self._spoken = self._spoken or speaks
        if mark:
            if self._other_label is None or self._other_label[1] == mark:
                self._other_label = (_indent(line), mark) if role is PartRole.OTHER else None
        elif self._other_label and ((speaks and self._spoken) or _indent(line) < self._other_label[0]):
            self._other_label = None

    def _ignored(self, label: SectionLabel) -> bool:
        """Return whether a label does not count because it is inside material of a higher heading."""
        if label.style.unknown:
            return self._ignores_unknown(label.style)
        if label.name is None:
            return not self._style.mark
        if self._name.role is not PartRole.OTHER:
            return False
        if label.style.mark or not label.style.inline or self._other_label is None:
            return False
        return label.role in MATERIAL

    def _ignores_unknown(self, style: LabelStyle) -> bool:
        """Return whether a label without a known name does not end the section of the ask."""
        if self._name.role is not PartRole.ASK:
            return True
        comment = self._begun is not None and style.level == 1  # in the middle of a paragraph of code
        return comment or not style.ends(self._style)

    def _leads(self, plain: str, end: int) -> bool:
        return end >= self._last or leads(plain)

    def _is_field(self, plain: str) -> bool:
        """Return whether a line `key: value` is the next field of the form with the ask, not a line of the ask."""
        if self._field is None:
            return False
        bold, below = self._field
        return bold or below or plain[0].isupper()

    def _may_guess(self) -> bool:
        return self._name.role is PartRole.FREE or (self._name.role is PartRole.OTHER and self._style.inline)

    def _append(self, at: int, plain: str) -> None:
        if self._begun is None:
            self._begun = at
        if len(self._lines) < LOOKED_AT:
            self._lines.append(plain)

    def _blank(self) -> None:
        self._keys = 0
        if self._used and self._name.role is PartRole.OTHER and (self._style.sentence or self._style.inline):
            self._enter(FREE, LabelStyle())

    def _after_opaque(self) -> None:
        """End a label whose content was enclosed in tags or a fence."""
        named = self._name.role is PartRole.OTHER or (self._name.role is PartRole.ASK and not self._used)
        if named and not self._style.mark:
            self._enter(FREE, LabelStyle())

    def _enter(self, name: RankedRole, style: LabelStyle) -> None:
        self._name, self._style, self._used = name, style, False
        self._section += 1
        self._field = None

    def _flush(self, end: int) -> None:
        if self._begun is not None:
            self._add(self._begun, end, None, self._lines)
        self._begun, self._lines = None, []

    def _add(self, start: int, end: int, form: BlockForm | None, lines: Sequence[str] = ()) -> None:
        self._used = True
        mark = self._style.mark
        inside = self._other_label is not None and self._other_label[1] != mark
        self.blocks.append(TextBlock(start, end, self._name, form, self._section, bool(mark), inside, lines))


def _fence_of(plain: str) -> BlockForm:
    return BlockForm.FILE if "." in plain else BlockForm.FENCE


def _fences_after_words(line: str) -> list[int]:
    """Return the positions of fence marks at the end of a line after words, the last first: they begin a fence."""
    found: list[int] = []
    end = len(line.rstrip())
    while (at := line.rfind("```", 0, end)) > 0 and _FENCE_BEHIND.match(line, at, end) is not None:
        found.append(at)
        end = at - 1
    return found


def _closes(plain: str, mark: str) -> bool:
    """Return whether a line ends a fence; one with a language would begin another."""
    return plain.endswith(mark) if mark in _QUOTES else plain.startswith(mark) and len(plain) < 5


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())

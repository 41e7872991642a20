"""Find the ask of a person in the text parts of a message; pure except for a memo, in linear time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Literal

import msgspec

from pointsman.classify.code import mostly_code
from pointsman.lru import Lru
from pointsman.routing.ask import payload, turns
from pointsman.routing.ask.about import with_about
from pointsman.routing.ask.ask import NO_ASK, Ask, AskKind, AskStep
from pointsman.routing.ask.blocks import TextBlock
from pointsman.routing.ask.forms import looks_asked
from pointsman.routing.ask.free import free, rivals, said
from pointsman.routing.ask.helpers import is_helper, is_retry
from pointsman.routing.ask.labelled import labelled, labelled_rivals
from pointsman.routing.ask.labels import may_be_mark
from pointsman.routing.ask.lines import ASKS, asking_line, asks_first
from pointsman.routing.ask.names import GUESS, OTHER, NameOf, PartRole, name_of, with_patterns
from pointsman.routing.ask.pasted import of_html, pasted, relayed, said_twice
from pointsman.routing.ask.prose import instruction, may_be_english, unquoted, without_pointers
from pointsman.routing.ask.reader import BlockParser
from pointsman.routing.ask.recent import AskCache
from pointsman.routing.ask.scored_block import BlockKind, ScoredBlock, is_plain, judge
from pointsman.routing.ask.tags import may_enclose, tagged
from pointsman.routing.steps import Steps, finish

# Only the two ends of a longer message are read.
END_CHARACTERS = 32 * 1024
END_LINES = 256
# Of all messages of a request together: no model reads more. Each line or tag counts as 64 characters.
MAX_REQUEST_CHARACTERS = 4 * 1024 * 1024
_LINE_COST = 64
# Where a message has no ask of its own, its line that asks is at one of its ends.
LINE_CHARACTERS = 4 * 1024
# Longer text around the line is material.
_AROUND = 300
# More parts are read as one.
MAX_SEPARATE_PARTS = 64
MAX_STEPS = 32
# Messages recur in each later turn of a conversation. A longer ask is searched for again.
KNOWN_MESSAGES = 4096
MAX_KNOWN_CHARACTERS = 2048
# An ask inside an ask inside an ask.
_MAX_NESTED_ASKS = 3
_TAG_RANK = 4
# A shorter text has no material between an ask and its repetition.
_MIN_TWICE_CHARACTERS = 250
# A form has more lines.
_FIELD_LINES = 3
_ENCLOSING = ("</", "```")
# A person's name has fewer words than what a person says.
_MIN_SPACES = 2

_LEADS = (":", "：", "")
_WHOLE = Ask("", AskKind.MESSAGE)
_HELPER = Ask("", AskKind.HELPER_TASK)


class ScanBudget:
    """The characters that may still be read of a request, so that many messages take no more time than a few."""

    def __init__(self) -> None:
        self._left = MAX_REQUEST_CHARACTERS

    def take(self, parts: Sequence[str]) -> bool:
        """Reserve the characters of one more message, and return whether they fit."""
        lines = sum([part.count("\n") + part.count("<") for part in parts])
        self._left -= min(sum(map(len, parts)), 2 * END_CHARACTERS) + _LINE_COST * min(lines, 2 * END_LINES)
        return self._left >= 0


class AskFinder:
    """A finder of asks by the names of tags and labels, and by the forms and words of paragraphs."""

    def __init__(
        self,
        mode: Literal["last_user", "ask", "all"] = "ask",
        strip: Sequence[str] = (),
        take: Sequence[str] = (),
        body_field: str | None = None,
    ) -> None:
        """Take patterns of names, `strip` and `take`, that precede the built-in ones."""
        self.mode, self.body_field = mode, body_field
        self._name_of: NameOf = name_of if not strip and not take else with_patterns(strip, take)
        self._known: Lru[tuple[int, int], Ask] = Lru(KNOWN_MESSAGES)
        self._recent = AskCache()
        self._client = ""

    def of(self, client: str) -> AskFinder:
        """Return the finder of one client's asks, whose timing reveals nothing about the texts of others."""
        if not client:
            return self
        own = object.__new__(type(self))
        vars(own).update(vars(self), _client=client)
        return own

    def recall(self, content: msgspec.Raw, system: bytes | None) -> Ask | None:
        """Return the ask in a message that was read lately, or None."""
        return self._recent.get(content, system, self._client)

    def remember(self, content: msgspec.Raw, system: bytes | None, ask: Ask) -> None:
        """Remember the ask in a message."""
        self._recent.put(content, system, ask, self._client)

    def find(self, parts: Sequence[str], system: str = "") -> Ask:
        """Return the ask in the text parts of one message; `system` is the beginning of the system prompt."""
        return finish(self.search(parts, system))

    def search(self, parts: Sequence[str], system: str = "") -> Steps[Ask]:
        """Return the result of `find`, in steps of different length."""
        given = [part for part in parts if part]
        whole = " ".join(given)
        if not whole or whole.isspace():
            return NO_ASK
        if self.mode != "ask":
            return Ask(whole, AskKind.MESSAGE)
        # Python's hash has a secret key, so nobody can make two messages collide.
        key = hash((self._client, system, *given)), len(system) + len(whole)
        found = self._known.get(key)
        if found is None:
            span = instruction(whole)
            line = None if span is None else whole[span[0] :].partition("\n")[0]
            found = _HELPER if is_helper(whole, system, line) else (yield from self._search(given, whole, span))
            found = self._with_line(found)
            if found.kind is AskKind.MESSAGE and not found.others:
                self._known.put(key, msgspec.structs.replace(found, text="") if found.line else _WHOLE)
            elif len(found.text) + len(found.about) + len(found.line) <= MAX_KNOWN_CHARACTERS:
                self._known.put(key, found)
        return found if found.text or found.kind is not AskKind.MESSAGE else msgspec.structs.replace(found, text=whole)

    def whole(self, parts: Sequence[str]) -> Ask:
        """Return all parts of a message as the ask, if no single part is one."""
        text = " ".join(parts)
        if not text or text.isspace():
            return NO_ASK
        key = hash((self._client, None, text)), len(text)
        found = self._known.get(key)
        if found is None:
            found = msgspec.structs.replace(self._with_line(Ask(text, AskKind.MESSAGE)), text="")
            self._known.put(key, found)
        return msgspec.structs.replace(found, text=text)

    def _with_line(self, ask: Ask) -> Ask:
        """Return an ask with its line that asks, if its first line does not.

        The line is `separate` if the message also does not begin with a person's words, and is much longer.
        """
        text = ask.text
        if self.mode != "ask" or "\n" not in text or ask.about or ask.others:
            return ask
        first = asks_first(text)
        if first >= ASKS:
            return ask
        if len(text) > 2 * LINE_CHARACTERS:
            text = f"{text[:LINE_CHARACTERS]}\n{text[-LINE_CHARACTERS:]}"
        span = asking_line(text, self._name_of, fields=False, min_score=1)
        if span is None:
            return ask
        line = text[slice(*span)]
        separate = not first and len(ask.text) > len(line) + _AROUND and asks_first(line) >= ASKS
        return msgspec.structs.replace(ask, line=line, separate=separate)

    def _search(self, given: list[str], whole: str, span: tuple[int, int] | None) -> Steps[Ask]:
        if is_retry(whole):
            return NO_ASK
        if span is not None:
            return _ask_of_instruction(whole, span)
        parts = given if len(given) <= MAX_SEPARATE_PARTS and len(whole) <= 2 * END_CHARACTERS else [whole]
        parts = [of_html(part, END_CHARACTERS) for part in parts]  # each tag becomes a line of its own
        shown = " ".join(parts)
        head, tail = _ends(shown)
        if head < tail:
            parts = [f"{shown[:head]}\n{shown[tail:]}"]
        found = yield from self._found(parts)
        if found is not None and head < tail:
            found = _moved(found, head, tail - head - 1)
        if found is None:
            return Ask(whole, AskKind.MESSAGE)
        span = instruction(found.text)
        return found if span is None else Ask(found.text[slice(*span)], AskKind.ASK, steps=found.steps)

    def _found(self, parts: list[str]) -> Steps[Ask | None]:
        """Return the ask in the parts of a message; None if it is the whole message."""
        found = yield from self._ask_in(parts, 0, widest=True)
        if (found is None or not found.text) and any("</" in part for part in parts):
            # An apparent block of material may be several blocks, with the ask between them.
            yield
            other = yield from self._ask_in(parts, 0, widest=False)
            found = other if other is not None and other.text else found
        text = " ".join(parts)
        if found is not None and found.text:
            return with_about(found, text)
        if found is None:
            return self._line(text, fields="</" not in text)
        return (None if _encloses(text) else self._line(text, fields=True)) or found

    def _line(self, text: str, *, fields: bool) -> Ask | None:
        """Return the line that asks, such as a field of a form, if nothing else asks."""
        line = asking_line(text, self._name_of, fields=fields)
        if line is None or _accompanies_code([text[slice(*line)]], text):
            return None
        return Ask(text[slice(*line)], AskKind.ASK, steps=(AskStep("taken", *line),))

    def _ask_in(self, parts: list[str], depth: int, *, widest: bool) -> Steps[Ask | None]:
        """Return the ask in a text; None if it is the whole text."""
        text = " ".join(parts)
        if depth == _MAX_NESTED_ASKS or (len(parts) == 1 and _is_one_line(text)):
            return None
        turn = turns.last_user_turn(text)
        if turn is not None:
            return (yield from self._inner(text, *turn, "turn", depth, widest=widest))
        member = payload.ask_in(text, self._name_of)
        if member is not None:
            found = yield from self._ask_in([member], depth + 1, widest=widest)
            return Ask(
                found.text if found and found.text else member, AskKind.ASK, steps=(AskStep("json", 0, len(text)),)
            )
        twice = said_twice(text) if len(text) > _MIN_TWICE_CHARACTERS else None
        if twice is not None:
            return (yield from self._inner(text, *twice, "taken", depth, widest=widest))
        blocks = self._blocks(text, parts, nested=depth > 0, widest=widest)
        scored: list[ScoredBlock] = []
        for block in blocks:
            yield
            scored.append(judge(text, block))
        if not scored:
            return None
        if is_plain(scored) and text.count("\n") < _FIELD_LINES:
            others = labelled_rivals(text, scored)
            return Ask(text, AskKind.MESSAGE, others) if others and not depth else None
        section = labelled(scored)
        if section is not None:
            start, end = turns.after_speaker(text, section[0].block.start), section[-1].block.end
            found = yield from self._inner(text, start, end, "taken", depth, widest=widest)
            starts = _starts(section)
            removed = [_step(one) for one in scored if one.block.start not in starts]
            steps = sorted((*removed, *found.steps), key=attrgetter("start"))[:MAX_STEPS]
            return Ask(found.text, AskKind.ASK, steps=tuple(steps))
        if (
            not text.isascii()
            and all(one.role is PartRole.FREE for one in scored)
            and (quoted := relayed(text)) is not None
        ):
            return (yield from self._inner(text, *quoted, "taken", depth, widest=widest))
        return self._free(text, scored)

    def _free(self, text: str, scored: list[ScoredBlock]) -> Ask | None:
        """Return the ask among paragraphs that no label names as one; None if it is the whole text."""
        selected = free(text, scored)
        if selected is None:
            return None
        if selected and not _ask(selected) and not _encloses(text):
            line = self._line(text, fields=False)
            if line is not None:
                return line
        starts = _starts(selected)
        steps = tuple([_step(one, taken=one.block.start in starts) for one in scored[:MAX_STEPS]])
        if not selected:
            return msgspec.structs.replace(NO_ASK, steps=steps)
        alone = len(selected) == 1
        pieces = [said(text, one) if alone else text[one.block.start : one.block.end].strip() for one in selected]
        if all(one.block.name.rank < _TAG_RANK for one in scored) and _accompanies_code(pieces, text):
            return None
        asked = "\n\n".join([unquoted(without_pointers(piece)) for piece in pieces])
        return Ask(asked.rstrip(" :："), AskKind.ASK, rivals(text, scored, selected), steps)

    def _inner(self, text: str, start: int, end: int, what: str, depth: int, *, widest: bool) -> Steps[Ask]:
        """Return the ask in a part of a text: all of the part unless it has wrappers of its own."""
        inner = text[start:end].strip()
        found = yield from self._ask_in([inner], depth + 1, widest=widest)
        if found is None or not found.text:
            return Ask(unquoted(without_pointers(inner)), AskKind.ASK, steps=(AskStep(what, start, end),))
        begin = text.index(inner, start)
        steps = [AskStep(step.what, step.start + begin, step.end + begin) for step in found.steps]
        return Ask(found.text, AskKind.ASK, steps=tuple(steps))

    def _blocks(self, text: str, parts: list[str], *, nested: bool, widest: bool) -> list[TextBlock]:
        """Return the blocks of a text; `nested`: the text is inside an ask's tag or label, else the whole message."""
        reader = BlockParser(text, self._name_of)
        start = 0
        for part in parts:
            at = start
            if reader.waits() and start + len(part) < len(text) and part.rstrip()[-1:] not in _LEADS:
                # The previous part is a label for all of this one.
                at = start + len(part)
                reader.opaque(start, at, OTHER, (start, at))
                reader.part(at)
                start = at + 1
                continue
            opaque = pasted(part)
            for tag in tagged(part, self._name_of, widest=widest):
                while opaque and start + opaque[0][0] <= start + tag.start:
                    at = _pasted(reader, at, start, opaque.pop(0))
                if start + tag.start < at:
                    continue
                reader.read(at, start + tag.start)
                plain = nested and tag.name.lower() in payload.PLAIN
                guess = (tag.role is None or plain) and looks_asked(part[tag.inner : tag.inner_end])
                name = GUESS if guess else tag.role or OTHER
                if name.role is PartRole.USER and part.count(" ", tag.inner, tag.inner_end) < _MIN_SPACES:
                    name = OTHER  # the name of a person, not what they say
                if name is not GUESS:
                    name = name._replace(rank=name.rank + _TAG_RANK)  # a tag is surer than a label
                reader.opaque(start + tag.start, start + tag.end, name, (start + tag.inner, start + tag.inner_end))
                at = start + tag.end
            for span in opaque:
                at = _pasted(reader, at, start, span)
            reader.read(at, start + len(part))
            reader.part(start + len(part))
            start += len(part) + 1
        return reader.done()


def _pasted(reader: BlockParser, at: int, start: int, span: tuple[int, int]) -> int:
    """Read the text before something pasted, and return where the pasted text ends."""
    begin, end = start + span[0], start + span[1]
    if begin < at:
        return at
    reader.read(at, begin)
    reader.opaque(begin, end, OTHER, (begin, end))
    return end


def _is_one_line(text: str) -> bool:
    """Return whether a text is one line without a mark: most questions are, and nothing needs to be found."""
    plain = text.strip()
    return (
        "\n" not in plain
        and plain[:1] not in ("{", "[")
        and not (plain and may_be_mark(plain))
        and not may_enclose(plain)
    )


def _encloses(text: str) -> bool:
    """Return whether a text has tags or fences."""
    return any(map(text.__contains__, _ENCLOSING))


def _accompanies_code(pieces: Sequence[str], text: str) -> bool:
    """Return whether an ask in another language is next to code, which then tells the subject."""
    return not any(map(may_be_english, pieces)) and mostly_code(text)


def _ask(selected: list[ScoredBlock]) -> bool:
    """Return whether blocks together ask, and state a subject."""
    return max([one.score for one in selected]) > 1 and sum([one.content for one in selected]) > 1


def _starts(scored: Iterable[ScoredBlock]) -> set[int]:
    return {one.block.start for one in scored}


def _step(one: ScoredBlock, *, taken: bool = False) -> AskStep:
    left = "other" if one.kind is BlockKind.USER_TEXT else one.kind
    return AskStep("taken" if taken else left, one.block.start, one.block.end)


def _ask_of_instruction(text: str, span: tuple[int, int]) -> Ask:
    """Return the instruction in a text about its other parts, which are material."""
    begin, end = span
    material = AskStep("material", end, len(text)) if not begin else AskStep("material", 0, begin)
    taken = AskStep("taken", begin, end)
    return Ask(text[begin:end], AskKind.ASK, steps=(taken, material) if not begin else (material, taken))


def _ends(text: str) -> tuple[int, int]:
    """Return the end of the part read at a text's beginning, and the start of that at its end; they may overlap."""
    head, tail = END_CHARACTERS, len(text) - END_CHARACTERS
    if text.count("\n") > 2 * END_LINES:
        at = -1
        for _ in range(END_LINES):
            at = text.index("\n", at + 1)
        head = min(head, at)
        at = len(text)
        for _ in range(END_LINES):
            at = text.rindex("\n", 0, at)
        tail = max(tail, at + 1)
    return head, tail


def _moved(ask: Ask, head: int, left_out: int) -> Ask:
    """Return the ask of a text whose middle was left out, with the steps at their positions in the whole text."""
    steps = [
        AskStep(step.what, step.start + left_out * (step.start > head), step.end + left_out * (step.end > head))
        for step in ask.steps
    ]
    return msgspec.structs.replace(ask, steps=tuple(steps))


BUILTIN = AskFinder()
"""The finder with the default configuration."""

"""Search a text for the ask by the exits below, in their order; pure, in linear time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import cached_property
from operator import attrgetter

import msgspec

from pointsman.classify.code import mostly_code
from pointsman.routing.ask import payload, turns
from pointsman.routing.ask.ask import NO_ASK, Ask, AskKind, AskStep
from pointsman.routing.ask.blocks import TextBlock
from pointsman.routing.ask.forms import looks_asked
from pointsman.routing.ask.free import free, rivals, said
from pointsman.routing.ask.labelled import labelled, labelled_rivals
from pointsman.routing.ask.labels import may_be_mark
from pointsman.routing.ask.lines import asking_line
from pointsman.routing.ask.names import GUESS, OTHER, NameOf, PartRole, RankedRole
from pointsman.routing.ask.pasted import pasted, relayed, said_twice
from pointsman.routing.ask.prose import may_be_english, unquoted, without_pointers
from pointsman.routing.ask.reader import BlockParser
from pointsman.routing.ask.scored_block import BlockKind, ScoredBlock, is_plain, judge
from pointsman.routing.ask.tags import TaggedBlock, may_enclose, tagged
from pointsman.routing.steps import Steps

MAX_STEPS = 32
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

WHOLE = Ask("", AskKind.MESSAGE)
"""The whole text is the ask."""


class SearchedText:
    """A text that may have an ask: a message, or what a message names as the ask."""

    def __init__(self, parts: Sequence[str], name_of: NameOf, *, widest: bool, depth: int = 0) -> None:
        """Take the text's parts; `widest` is that of `tagged`, and `depth` the number of asks around the text."""
        self.parts, self.name_of, self.widest, self.depth = parts, name_of, widest, depth
        self.text = " ".join(parts)
        self.scored: list[ScoredBlock] = []

    @cached_property
    def encloses(self) -> bool:
        """Return whether there are tags or fences."""
        return any(map(self.text.__contains__, _ENCLOSING))

    def within(self, text: str) -> SearchedText:
        """Return a text inside this one."""
        return SearchedText([text], self.name_of, widest=self.widest, depth=self.depth + 1)

    def inner(self, start: int, end: int, what: str) -> Steps[Ask]:
        """Return the ask in a part: all of the part unless it has wrappers of its own."""
        inner = self.text[start:end].strip()
        found = yield from ask_in(self.within(inner))
        if not found.text:
            return Ask(unquoted(without_pointers(inner)), AskKind.ASK, steps=(AskStep(what, start, end),))
        begin = self.text.index(inner, start)
        steps = [AskStep(step.what, step.start + begin, step.end + begin) for step in found.steps]
        return Ask(found.text, AskKind.ASK, steps=tuple(steps))


def ask_in(text: SearchedText) -> Steps[Ask]:
    """Return what the first exit finds that finds something."""
    for search in EXITS:
        found = search(text)
        if isinstance(found, Generator):
            found = yield from found
        if found is not None:
            return found
    return WHOLE


def line_in(text: str, name_of: NameOf, *, fields: bool) -> Ask | None:
    """Return the line that asks, such as a field of a form, if nothing else asks."""
    line = asking_line(text, name_of, fields=fields)
    if line is None or _accompanies_code([text[slice(*line)]], text):
        return None
    return Ask(text[slice(*line)], AskKind.ASK, steps=(AskStep("taken", *line),))


# --- the exits ------------------------------------------------------------------------------------------------------


def _one_line(text: SearchedText) -> Ask | None:
    """Leave a line without a mark whole: most questions are one, and nothing needs to be found."""
    if text.depth == _MAX_NESTED_ASKS:
        return WHOLE
    plain = text.text.strip()
    if len(text.parts) > 1 or "\n" in plain or plain[:1] in ("{", "[") or may_enclose(plain):
        return None
    return None if plain and may_be_mark(plain) else WHOLE


def _last_turn(text: SearchedText) -> Steps[Ask | None]:
    turn = turns.last_user_turn(text.text)
    return None if turn is None else (yield from text.inner(*turn, "turn"))


def _member(text: SearchedText) -> Steps[Ask | None]:
    member = payload.ask_in(text.text, text.name_of)
    if member is None:
        return None
    found = yield from ask_in(text.within(member))
    return Ask(found.text or member, AskKind.ASK, steps=(AskStep("json", 0, len(text.text)),))


def _repeated(text: SearchedText) -> Steps[Ask | None]:
    twice = said_twice(text.text) if len(text.text) > _MIN_TWICE_CHARACTERS else None
    return None if twice is None else (yield from text.inner(*twice, "taken"))


def _judged(text: SearchedText) -> Steps[Ask | None]:
    """Judge the blocks for the exits below."""
    for block in _blocks(text):
        yield
        text.scored.append(judge(text.text, block))
    return None if text.scored else WHOLE


def _plain(text: SearchedText) -> Ask | None:
    if text.text.count("\n") >= _FIELD_LINES or not is_plain(text.scored):
        return None
    others = labelled_rivals(text.text, text.scored)
    return Ask(text.text, AskKind.MESSAGE, others) if others and not text.depth else WHOLE


def _labelled(text: SearchedText) -> Steps[Ask | None]:
    section = labelled(text.scored)
    if section is None:
        return None
    start, end = turns.after_speaker(text.text, section[0].block.start), section[-1].block.end
    found = yield from text.inner(start, end, "taken")
    starts = _starts(section)
    removed = [_step(one) for one in text.scored if one.block.start not in starts]
    steps = sorted((*removed, *found.steps), key=attrgetter("start"))[:MAX_STEPS]
    return Ask(found.text, AskKind.ASK, steps=tuple(steps))


def _quotation(text: SearchedText) -> Steps[Ask | None]:
    if text.text.isascii() or any(one.role is not PartRole.FREE for one in text.scored):
        return None
    quoted = relayed(text.text)
    return None if quoted is None else (yield from text.inner(*quoted, "taken"))


def _paragraphs(text: SearchedText) -> Ask | None:
    """Take the paragraphs that ask, though no label names them."""
    selected = free(text.text, text.scored)
    if selected is None:
        return None
    if selected and not _ask(selected) and not text.encloses:
        line = line_in(text.text, text.name_of, fields=False)
        if line is not None:
            return line
    starts = _starts(selected)
    steps = tuple([_step(one, taken=one.block.start in starts) for one in text.scored[:MAX_STEPS]])
    if not selected:
        return msgspec.structs.replace(NO_ASK, steps=steps)
    pieces = _pieces(text.text, selected)
    if all(one.block.name.rank < _TAG_RANK for one in text.scored) and _accompanies_code(pieces, text.text):
        return None
    asked = "\n\n".join([unquoted(without_pointers(piece)) for piece in pieces])
    return Ask(asked.rstrip(" :："), AskKind.ASK, rivals(text.text, text.scored, selected), steps)


EXITS: tuple[Callable[[SearchedText], Ask | Steps[Ask | None] | None], ...] = (
    _one_line,
    _last_turn,
    _member,
    _repeated,
    _judged,
    _plain,
    _labelled,
    _quotation,
    _paragraphs,
)
"""The exits in their order: the first that finds an ask ends the search; if none does, the whole text is the ask."""


# --- blocks ---------------------------------------------------------------------------------------------------------


def _blocks(text: SearchedText) -> list[TextBlock]:
    reader = BlockParser(text.text, text.name_of)
    start = 0
    for part in text.parts:
        end = start + len(part)
        if reader.waits() and end < len(text.text) and part.rstrip()[-1:] not in _LEADS:
            # The previous part is a label for all of this one.
            reader.opaque(start, end, OTHER, (start, end))
            at = end
        else:
            at = start
            for found in _enclosed(part, text):
                if start + found.start >= at:
                    reader.read(at, start + found.start)
                    at = start + found.end
                    name = _name_of(found, part, text)
                    reader.opaque(start + found.start, at, name, (start + found.inner, start + found.inner_end))
            reader.read(at, end)
        reader.part(end)
        start = end + 1
    return reader.done()


def _enclosed(part: str, text: SearchedText) -> list[TaggedBlock]:
    """Return what is pasted or enclosed in tags, in order."""
    unnamed = [TaggedBlock(*span, *span, "", None) for span in pasted(part)]
    return sorted([*unnamed, *tagged(part, text.name_of, widest=text.widest)], key=attrgetter("start"))


def _name_of(found: TaggedBlock, part: str, text: SearchedText) -> RankedRole:
    if not found.name:
        return OTHER
    unnamed = found.role is None or (text.depth > 0 and found.name.lower() in payload.PLAIN)
    if unnamed and looks_asked(part[found.inner : found.inner_end]):
        return GUESS
    name = found.role or OTHER
    if name.role is PartRole.USER and part.count(" ", found.inner, found.inner_end) < _MIN_SPACES:
        name = OTHER  # the name of a person, not what they say
    return name._replace(rank=name.rank + _TAG_RANK)  # a tag is surer than a label


# --- what is found --------------------------------------------------------------------------------------------------


def _pieces(text: str, selected: list[ScoredBlock]) -> list[str]:
    if len(selected) == 1:
        return [said(text, selected[0])]
    return [text[one.block.start : one.block.end].strip() for one in selected]


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

"""Find the blocks of a text that are enclosed in tags; pure, in linear time."""

from __future__ import annotations

import bisect
import re
from itertools import islice
from typing import NamedTuple

from pointsman.routing.ask import words
from pointsman.routing.ask.names import NameOf, RankedRole

# Possessive quantifiers: nothing is tried twice.
_ANGLE = r"<(?P<close>/?+)\s?+(?P<name>[A-Za-z][\w.:-]{0,63}+)(?P<rest>[^<>\n]{0,300}+)>"
_SQUARE = r"\[(?P<end>/|END |end )?+(?P<square>[A-Za-z][A-Za-z0-9_ ]{1,38}?)(?P<word> begin| end| BEGIN| END)?\](?!\()"
# Searching for one kind of brackets is much faster than for two.
_TAG, _ANGLE_TAG = re.compile(f"{_ANGLE}|{_SQUARE}"), re.compile(_ANGLE)
_CLOSING_SQUARES = ("[/", "[END ", "[end ", " end]", " END]")
# More tags than wrappers have; later ones in a text are ignored.
MAX_TAGS = 256

# A tag on a line of its own is indented less.
_INDENT = 100


class _OpeningTag(NamedTuple):
    """A tag that opens: its name with its bracket, and its position."""

    name: str
    start: int
    inner: int


class TaggedBlock(NamedTuple):
    """A block: `start` and `end` include its tags, `inner` and `inner_end` do not."""

    start: int
    end: int
    inner: int
    inner_end: int
    name: str
    role: RankedRole | None


def tagged(text: str, name_of: NameOf, *, widest: bool) -> list[TaggedBlock]:
    """Return the outermost blocks in order.

    With `widest`, a block of material reaches to the last closing tag of its name, so that closing tags inside the
    material change nothing; otherwise to the first one.
    """
    opened, closed = _tags(text)
    found: list[TaggedBlock] = []
    at = line_end = 0
    for tag in opened:
        closings = closed.get(tag.name.lower(), [])
        index = bisect.bisect_left(closings, (tag.inner,))
        if tag.start < at or index == len(closings):
            continue
        if line_end < tag.inner:  # each line's end is looked for once
            line_end = text.find("\n", tag.inner)
            line_end = len(text) if line_end < 0 else line_end
        role = name_of(tag.name[1:], False)
        if role is None and (tag.name[1:].lower() in words.HTML or line_end >= closings[-1][0]):
            continue
        alone = _is_alone(text, tag.start, at)
        first = closings[index][0]
        if not alone and (line_end < first or first == tag.inner):
            continue  # a tag that a sentence names
        inner_end, at = closings[-1 if alone and widest else index]
        found.append(TaggedBlock(tag.start, at, tag.inner, inner_end, tag.name[1:], role))
    return found


def _tags(text: str) -> tuple[list[_OpeningTag], dict[str, list[tuple[int, int]]]]:
    """Return the tags that open, and by name the positions of those that close; none if no tag closes."""
    opened: list[_OpeningTag] = []
    closed: dict[str, list[tuple[int, int]]] = {}
    pattern = _pattern(text)
    for match in () if pattern is None else islice(pattern.finditer(text), MAX_TAGS):
        name, closes = _read(match)
        if closes:
            closed.setdefault(name.lower(), []).append(match.span())
        else:
            opened.append(_OpeningTag(name, *match.span()))
    return opened, closed


def _is_alone(text: str, start: int, last_end: int) -> bool:
    """Return whether only another tag is before a tag in its line."""
    return start == last_end or not text[max(0, start - _INDENT) : start].rpartition("\n")[2].strip(" \t>-*")


def may_enclose(text: str) -> bool:
    """Return cheaply whether a text may have tags that close."""
    return _pattern(text) is not None


def _pattern(text: str) -> re.Pattern[str] | None:
    """Return the pattern that finds the tags of a text, or None if none of them closes."""
    if "[" in text and any(map(text.__contains__, _CLOSING_SQUARES)):  # a search for one character is fast
        return _TAG
    return _ANGLE_TAG if "<" in text and "</" in text else None


def _read(match: re.Match[str]) -> tuple[str, bool]:
    """Return a tag's name with its bracket, and whether it closes."""
    close, name = match.group("close", "name")
    if name:
        return "<" + name, bool(close)
    return "[" + match["square"], bool(match["end"]) or match["word"] in (" end", " END")

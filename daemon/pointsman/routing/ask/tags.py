"""Find the blocks of a text that are enclosed in tags; pure, in linear time."""

from __future__ import annotations

import bisect
import re
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
    pattern = _pattern(text)
    if pattern is None:
        return []
    opened: list[tuple[str, int, int]] = []
    closed: dict[str, list[tuple[int, int]]] = {}
    for count, match in enumerate(pattern.finditer(text)):
        if count >= MAX_TAGS:
            break
        name, closes = _read(match)
        if closes:
            closed.setdefault(name.lower(), []).append(match.span())
        else:
            opened.append((name, match.start(), match.end()))
    found: list[TaggedBlock] = []
    at = line_end = 0
    for name, start, inner in opened:
        closings = closed.get(name.lower(), [])
        index = bisect.bisect_left(closings, (inner,))
        if start < at or index == len(closings):
            continue
        (first, first_end), (last, last_end) = closings[index], closings[-1]
        if line_end < inner:  # each line's end is looked for once
            line_end = text.find("\n", inner)
            line_end = len(text) if line_end < 0 else line_end
        plain = name[1:]
        role = name_of(plain, False)
        if role is None and (plain.lower() in words.HTML or line_end >= last):
            continue
        alone = start == at or not text[max(0, start - _INDENT) : start].rpartition("\n")[2].strip(" \t>-*")
        if not alone and (line_end < first or first == inner):
            continue  # a tag that a sentence names
        inner_end, at = (last, last_end) if alone and widest else (first, first_end)
        found.append(TaggedBlock(start, at, inner, inner_end, plain, role))
    return found


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

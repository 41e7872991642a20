"""Find values in JSON text of any size by their positions, without an object for each; pure, in steps.

numpy computes the structure in chunks, so that a byte costs about the same in every text: some nanoseconds. Everything
that Python's `json` accepts is accepted here; the inside of values is not judged, except for its depth.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pointsman.long_body import Received
from pointsman.routing.steps import Steps

CHUNK = 32 * 1024
MAX_NESTED_LEVELS = 1000
_TURNS = 1023  # a mask: each takes up to half a microsecond

SPACES = b" \t\n\r"
_QUOTE, _BACKSLASH, _COLON, _COMMA, _OBJECT = b'"\\:,{'
_PAUSE = 0
_STRUCTURAL = np.zeros(256, dtype=np.bool_)
_STRUCTURAL[list(b'"[]{},:')] = True
_BRACKETS = np.zeros(256, dtype=np.bool_)
_BRACKETS[list(b'"[]{}')] = True
_STEP = np.zeros(256, dtype=np.int64)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1

Text = Received | memoryview
Positions = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class JsonError(Exception):
    """The text is not JSON, or nested too deeply; `position` counts bytes from 0."""

    def __init__(self, what: str, position: int) -> None:
        super().__init__(f"{what} at byte {position}")
        self.position = position


class JsonDepthError(JsonError):
    """The text is nested too deeply, and may be JSON."""


class ByteSpan(NamedTuple):
    """A value: its first byte, and the byte after its last."""

    start: int
    end: int


class StructureScanner:
    """The structural bytes of a text outside strings, read piece by piece.

    No piece ends between a backslash and the character that it escapes.
    """

    __slots__ = ("_level", "_quotes", "_table")

    def __init__(self, *, brackets: bool = False) -> None:
        """Take the text; `brackets`: find only brackets, no colon or comma."""
        self._table = _BRACKETS if brackets else _STRUCTURAL
        self._quotes = self._level = 0

    def read(self, piece: bytes, part: Bytes) -> tuple[Positions, Bytes, Positions]:
        """Return position, byte and depth of each structural byte in `piece`, which `part` shows.

        The depth of an opening bracket counts it, the depth of a closing one does not.
        """
        where = np.flatnonzero(self._table[part])
        if b"\\" in piece:
            where = where[~_escaped(part)[where]]
        what = part[where]
        quote = what == _QUOTE
        opened = np.cumsum(quote) + self._quotes
        outside = (opened & 1 == 0) & ~quote
        self._quotes = int(opened[-1]) & 1 if len(opened) else self._quotes
        where, what = where[outside], what[outside]
        depth = np.cumsum(_STEP[what]) + self._level
        if len(depth):
            self._level = int(depth[-1])
        return where, what, depth


def without_escape(piece: bytes) -> int:
    """Return the length of a piece before a backslash whose escaped character is still to come."""
    slashes = len(piece) - len(piece.rstrip(b"\\"))
    return len(piece) - slashes % 2


def members(data: Text, names: tuple[str, ...], span: ByteSpan | None = None) -> Steps[dict[str, ByteSpan] | None]:
    """Return the members of an object with these names, the last of duplicates; None if it is no object.

    Raises JsonError. `span` is a value in the text; by default the object is the whole text.
    """
    at, stop = span or (0, len(data))
    at = yield from _first(data, at, stop)
    if data[at] != _OBJECT:
        return None
    wanted = {b'"%b"' % name.encode(): name for name in names}
    found: dict[str, ByteSpan] = {}
    start, colon, position = at + 1, -1, at
    for position, what in _separators(data, at, stop):
        if what == _PAUSE:
            yield
        elif what == _COLON and colon < 0:
            colon = position
        elif what != _COLON and colon >= 0:
            name = wanted.get(_key(data, start, colon))
            if name is not None:
                found[name] = yield from _trimmed(data, colon + 1, position)
            start, colon = position + 1, -1
        elif what == _COLON or start > at + 1 or not (yield from _blank(data, start, position)):
            raise JsonError("expected `,`" if what == _COLON else "expected `:`", position)
    if span is None and not (yield from _blank(data, position + 1, stop)):
        raise JsonError("expected the end of the text", position + 1)
    return found


def elements(data: Text, array: ByteSpan, max_elements: int) -> Steps[list[ByteSpan] | None]:
    """Return the elements of an array, or None if there are more than `max_elements`; raises JsonError."""
    commas: list[int] = [array.start]
    for where, what, depth in _structure(data, *array):
        closed = _end(depth)
        commas += where[:closed][(depth[:closed] == 1) & (what[:closed] == _COMMA)].tolist()
        if len(commas) > max_elements:
            return None
        if closed < len(depth):
            commas.append(int(where[closed]))
            break
        yield
    else:
        raise JsonError("the text ends too early", array.end)
    if len(commas) == 2 and (yield from _blank(data, array.start + 1, commas[1])):
        return []
    found: list[ByteSpan] = []
    for turn, (before, after) in enumerate(itertools.pairwise(commas)):
        if turn & _TURNS == _TURNS:
            yield
        found.append((yield from _trimmed(data, before + 1, after)))
    return found


def _structure(data: Text, at: int, stop: int) -> Iterator[tuple[Positions, Bytes, Positions]]:
    """Yield the results of `StructureScanner.read`, chunk by chunk; raises JsonDepthError."""
    text, structure = np.frombuffer(data, dtype=np.uint8), StructureScanner()
    while at < stop:
        end = min(at + CHUNK, stop)
        piece = bytes(data[at:end])
        if end < stop:
            end = at + without_escape(piece)
        where, what, depth = structure.read(piece, text[at:end])
        if len(depth) and int(depth.max()) > MAX_NESTED_LEVELS:
            position = at + int(where[np.argmax(depth > MAX_NESTED_LEVELS)])
            raise JsonDepthError(f"nested too deeply, more than {MAX_NESTED_LEVELS} levels,", position)
        yield where + at, what, depth
        at = end


def _escaped(part: Bytes) -> npt.NDArray[np.bool_]:
    """Return which bytes follow an odd number of backslashes."""
    slashes = np.flatnonzero(part == _BACKSLASH)
    first = np.flatnonzero(np.diff(slashes, prepend=-2) != 1)
    lengths = np.diff(first, append=len(slashes))
    odd = lengths & 1 == 1
    escaped = np.zeros(len(part) + 1, dtype=np.bool_)
    escaped[slashes[first[odd]] + lengths[odd]] = True
    return escaped[:-1]


def _end(depth: Positions) -> int:
    """Return the index at which the value ends, or the length."""
    closed = int(np.argmax(depth <= 0)) if len(depth) else 0
    return closed if len(depth) and depth[closed] <= 0 else len(depth)


def _separators(data: Text, at: int, stop: int) -> Iterator[tuple[int, int]]:
    """Yield position and byte of each colon and comma between the members of an object, and of its end, with pauses."""
    for where, what, depth in _structure(data, at, stop):
        closed = _end(depth)
        separates = (depth[:closed] == 1) & ((what[:closed] == _COLON) | (what[:closed] == _COMMA))
        for turn, found in enumerate(
            zip(where[:closed][separates].tolist(), what[:closed][separates].tolist(), strict=True)
        ):
            if turn & _TURNS == _TURNS:
                yield 0, _PAUSE
            yield found
        if closed < len(depth):
            yield int(where[closed]), int(what[closed])
            return
        yield 0, _PAUSE
    raise JsonError("the text ends too early", stop)


def _key(data: Text, start: int, end: int) -> bytes:
    key = bytes(data[start:end]).strip(SPACES)
    if key[:1] != b'"' or key[-1:] != b'"' or len(key) < 2:
        raise JsonError("expected a key in double quotes", start)
    if b"\\" not in key:
        return key
    try:
        return b'"%b"' % json.loads(key).encode("utf-8", "surrogatepass")
    except ValueError:
        raise JsonError("a key is not a valid string", start) from None


def _first(data: Text, at: int, stop: int) -> Steps[int]:
    """Return the first byte that is not white space."""
    while at < stop:
        piece = bytes(data[at : min(at + CHUNK, stop)])
        rest = len(piece.lstrip(SPACES))
        if rest:
            return at + len(piece) - rest
        at += len(piece)
        yield
    raise JsonError("expected a value", at)


def _trimmed(data: Text, start: int, end: int) -> Steps[ByteSpan]:
    """Return a value without the white space around it."""
    start = yield from _first(data, start, end)
    while True:
        piece = bytes(data[max(start, end - CHUNK) : end])
        rest = len(piece.rstrip(SPACES))
        end -= len(piece) - rest
        if rest:
            return ByteSpan(start, end)
        yield


def _blank(data: Text, start: int, end: int) -> Steps[bool]:
    try:
        yield from _first(data, start, end)
    except JsonError:
        return True
    return False

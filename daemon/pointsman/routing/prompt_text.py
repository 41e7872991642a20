"""Read the text of a prompt from a value of a body: bounded, however long the value is; pure, in steps."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec.json import Decoder

from pointsman.routing import json_scan
from pointsman.routing.body import ABSENT, Value, decode, kind, view
from pointsman.routing.json_scan import SPACES, ByteSpan, JsonError
from pointsman.routing.steps import Steps, TimeSlice

# More than any classifier reads: only the two ends of a longer text are read.
END_BYTES = 128 * 1024
# More messages, or parts of a message, than a conversation has. A request with more is not classified.
MAX_PARTS = 4096
# The beginning of a system prompt tells whether it sets a helper task.
BEGINNING = 4096
# Values that decode to an object for each part are read at once up to this size.
LIST_AT_ONCE = 64 * 1024


class TooManyParts(Exception):
    """The request has more messages, or parts of a message, than routing reads."""


class _ContentPart(msgspec.Struct, gc=False):
    text: str | None = None


class _UndecodedPart(msgspec.Struct, gc=False):
    text: Value = ABSENT


_STRING = Decoder(str)
_UNDECODED = Decoder(_UndecodedPart)
_LENIENT = json.JSONDecoder(strict=False)
_PARTS: Decoder[Any] = Decoder(list[str | _ContentPart])
# These tell whether a cut divides an escape.
_BEFORE_CUT = 64
_CUT_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*(\\(?:u[0-9a-fA-F]{0,3})?)\Z")


def texts_of(value: Value | None) -> Steps[list[str]]:
    """Return a string, or the strings and text parts of a list, without empty ones; nothing for anything else.

    The middle of a very long text is left out. Raises TooManyParts.
    """
    begin = kind(value)
    if value is None or begin not in (b'"', b"["):
        return []
    shown = memoryview(value)
    if begin == b'"':
        return [text] if (text := _string(shown)) else []
    # A list of token ids has no text, however long it is.
    if bytes(shown[1:64]).lstrip(SPACES)[:1] not in (b'"', b"{", b""):
        return []
    if shown.nbytes <= LIST_AT_ONCE:
        parts = decode(value, None, _PARTS)
        if parts is not None:
            if len(parts) > MAX_PARTS:
                raise TooManyParts
            return [text for part in parts if (text := part if isinstance(part, str) else part.text)]
    return (yield from _ends((yield from _strings(shown))))


def read_bytes(value: Value) -> bytes | None:
    """Return the bytes of a value by which its texts are known, or None if that takes longer than to read these.

    They are all of it, or of a longer string its size and what is read. To hash 64 KiB takes 12 us, to decode 20 to 60.
    """
    shown = memoryview(value)
    if shown.nbytes <= 2 * END_BYTES:
        return bytes(shown)
    if kind(value) != b'"':
        return None
    return b"".join((b"%d:" % shown.nbytes, shown[:END_BYTES], shown[-END_BYTES - _BEFORE_CUT :]))


def beginning_of(value: Value | None) -> Steps[str]:
    """Return the beginning of a text, of at most `BEGINNING` bytes; raises TooManyParts."""
    if value is not None and kind(value) == b'"':
        shown = memoryview(value)
        cut, _ = _whole(shown, BEGINNING) if shown.nbytes > BEGINNING else (shown.nbytes - 1, 0)
        return _unescaped(bytes(shown[1:cut]))
    texts = yield from texts_of(value)
    return " ".join(texts)[:BEGINNING]


def beginning_bytes(value: Value | None) -> bytes | None:
    """Return the part of a value that `beginning_of` reads, or None if that is long."""
    if value is None:
        return b""
    shown = memoryview(value)
    if kind(value) == b'"':
        return bytes(shown[:BEGINNING])
    return bytes(shown) if shown.nbytes <= LIST_AT_ONCE else None


def _strings(array: memoryview) -> Steps[list[memoryview]]:
    """Return the strings of a list and those in its parts, undecoded."""
    try:
        parts = yield from json_scan.elements(array, ByteSpan(0, array.nbytes), MAX_PARTS)
        if parts is None:
            raise TooManyParts
        found: list[memoryview] = []
        time_slice = TimeSlice()
        for part in parts:
            text = (yield from _text_in(array, part)) if array[part.start] == ord("{") else array[slice(*part)]
            if bytes(text[:1]) == b'"' and len(text) > 2:
                found.append(text)
            yield from time_slice.pause()
    except JsonError:
        return []
    return found


def _text_in(array: memoryview, part: ByteSpan) -> Steps[memoryview]:
    """Return the text of a part, undecoded; empty if it has none. Raises JsonError."""
    if part.end - part.start <= LIST_AT_ONCE:
        found: _UndecodedPart | None = decode(view(array, part), None, _UNDECODED)
        if found is not None:
            return memoryview(found.text)
    text = ((yield from json_scan.members(array, ("text",), part)) or {}).get("text", ByteSpan(0, 0))
    return array[slice(*text)]


def _ends(strings: list[memoryview]) -> Steps[list[str]]:
    """Return as many of the first and the last strings as suffice."""
    halves: list[list[str]] = [[], []]
    left = list(strings)
    time_slice = TimeSlice()
    for half, index in zip(halves, (0, -1), strict=True):
        room = END_BYTES
        while left and room > 0:
            half.append(_string(left.pop(index)))
            room -= len(half[-1])
            yield from time_slice.pause()
    return [text for text in halves[0] + halves[1][::-1] if text]


def _string(quoted: memoryview) -> str:
    """Return a string without its middle if it is very long."""
    if quoted.nbytes > 2 * END_BYTES:
        head, _ = _whole(quoted, END_BYTES)
        _, tail = _whole(quoted, quoted.nbytes - END_BYTES)
        return _unescaped(bytes(quoted[1:head])) + _unescaped(bytes(quoted[tail:-1]))
    return _decoded(quoted)


def _whole(quoted: memoryview, cut: int) -> tuple[int, int]:
    """Return the start and end of the escape that a cut would divide, or the cut itself if there is no escape."""
    divided = _CUT_ESCAPE.search(bytes(quoted[max(0, cut - _BEFORE_CUT) : cut]))
    if divided is None:
        return cut, cut
    known = len(divided[1])
    length = 6 if known > 1 or bytes(quoted[cut : cut + 1]) == b"u" else 2
    return cut - known, cut - known + length


def _unescaped(inner: bytes) -> str:
    """Decode the inside of a string."""
    return _decoded(b'"%b"' % inner) if b"\\" in inner else inner.decode("utf-8", "ignore")


def _decoded(quoted: bytes | memoryview) -> str:
    """Decode a string; replace what is not text, like half a surrogate pair."""
    try:
        text: str = _STRING.decode(quoted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = bytes(quoted[1:-1]).decode("utf-8", "ignore")
    else:
        return text
    try:
        text = _LENIENT.decode(f'"{text}"')
    except ValueError:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

"""The framing of a message body: finds its end while the bytes pass unchanged. Pure."""

from __future__ import annotations

import re
from typing import Protocol

from pointsman.http1.grammar import TOKEN_BYTES

# Incomplete size lines and trailers are buffered, so their length is bounded; longer ones are rejected.
MAX_LINE_BYTES = 4096
MAX_TRAILER_BYTES = 16_384
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[^\r\n]*)?\r\n")
# The size lines of short chunks as vLLM writes them, by the length of the whole chunk. Comparing takes a third of the
# time of parsing.
_SIZE_LINES = {size + len(b"%x" % size) + 4: b"%x\r\n" % size for size in range(1, 2048)}
_TRAILER = re.compile(rb"(?:[" + TOKEN_BYTES + rb"]+:[^\r\n\0]*\r\n)*\r\n")


class MalformedBody(Exception):
    """The body's framing is invalid, so its end is unknown."""


class Framing(Protocol):
    """The state of one body; `done` once it is complete."""

    done: bool

    def feed(self, data: bytes) -> bytes:
        """Return the bytes to forward, of `data` and of the buffered bytes; raises MalformedBody.

        Bytes after the end of the body are cut off and stored in `surplus`.
        """

    @property
    def surplus(self) -> bytes:
        """The bytes after the end of the body."""

    @property
    def ends_with_connection(self) -> bool:
        """True if the end of the connection ends the body."""

    def interrupted(self, text: bytes) -> bytes:
        """Frame `text` so that the client reads it as part of the body, which stays incomplete."""


class LengthFraming:
    """A body of a known length."""

    __slots__ = ("_left", "done", "surplus")
    ends_with_connection = False

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        left = self._left - len(data)
        if left > 0:
            self._left = left
            return data
        if left < 0:
            self.surplus = data[self._left :]
            data = data[: self._left]
        self._left = 0
        self.done = True
        return data

    def interrupted(self, text: bytes) -> bytes:
        return text[: max(0, self._left - 1)]  # with the last byte the body would look complete


class CloseFraming:
    """A body that ends with the connection; `chunked` reframes it, so that a client of HTTP/1.1 sees its end."""

    __slots__ = ("_chunked", "done")
    surplus = b""
    ends_with_connection = True

    def __init__(self, *, chunked: bool) -> None:
        self._chunked = chunked
        self.done = False

    def feed(self, data: bytes) -> bytes:
        return chunk(data) if self._chunked and data else data

    def interrupted(self, text: bytes) -> bytes:
        return self.feed(text)

    def end(self) -> bytes:
        """Return the bytes that tell the client that the body is complete."""
        return b"0\r\n\r\n" if self._chunked else b""


class ChunkedFraming:
    """A chunked body; `verbatim` preserves its framing with extensions and trailer, otherwise they are removed."""

    __slots__ = ("_crlf", "_left", "_partial_line", "_verbatim", "done", "surplus")
    ends_with_connection = False

    def __init__(self, *, verbatim: bool) -> None:
        self._verbatim = verbatim
        self._left = 0  # bytes of the chunk's data
        self._crlf = False  # whether the line end after a chunk's data is still to come
        self._partial_line = b""
        self.done = False
        self.surplus = b""

    def feed(self, data: bytes) -> bytes:
        if not (self._left or self._crlf or self._partial_line):
            line = _SIZE_LINES.get(len(data))
            if line is not None and data.startswith(line) and data.endswith(b"\r\n"):  # one chunk, as vLLM sends events
                return data if self._verbatim else data[len(line) : -2]
        if self._partial_line:
            data = self._partial_line + data
            self._partial_line = b""
        payload: list[bytes] = []
        at, end = 0, len(data)
        while at < end and not self.done:
            if self._left:
                stop = min(end, at + self._left)
                if not self._verbatim:
                    payload.append(data[at:stop])
                self._left -= stop - at
                self._crlf = not self._left
                at = stop
            else:
                after = self._line(data, at)
                if after == at:
                    self._partial_line = data[at:]
                    break
                at = after
        if self.done:
            self.surplus = data[at:]
        if self._verbatim:
            return data if at == end else data[:at]
        return b"".join(payload)

    def _line(self, data: bytes, at: int) -> int:
        """Return the end of the framing line that starts at `at`, or `at` while it is partial; raises MalformedBody."""
        if self._crlf:
            if data.startswith(b"\r\n", at):
                self._crlf = False
                return at + 2
            if data[at:] == b"\r":
                return at
            raise MalformedBody("a chunk is longer than its size")
        size = _SIZE.match(data, at)
        if size is None:
            self._check_start(data, at)
            return at
        self._left = int(size[1], 16)
        if self._left:
            return size.end()
        trailer = _TRAILER.match(data, size.end())
        if trailer is not None:
            self.done = True
            return trailer.end()
        if len(data) - at > MAX_TRAILER_BYTES:
            raise MalformedBody("the trailer is too long")
        return at

    def _check_start(self, data: bytes, at: int) -> None:
        """Raise MalformedBody unless the data can still become a size line."""
        line_end = data.find(b"\n", at)
        if line_end >= 0 or len(data) - at > MAX_LINE_BYTES:
            raise MalformedBody("a chunk has no size")

    def interrupted(self, text: bytes) -> bytes:
        if not self._verbatim:
            return text
        if len(text) < self._left:
            return text
        open_end = b"\r\n" if self._left or self._crlf else b""
        rest = text[self._left :]
        return text[: self._left] + open_end + (chunk(rest) if rest else b"")


def chunk(data: bytes) -> bytes:
    """Frame `data`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)

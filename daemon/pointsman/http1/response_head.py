"""The heads of messages between us and vLLM, as bytes: read, stripped, composed. Pure.

End-to-end headers cross as the very lines that came, in order, with every value of a repeated one. Hop-by-hop headers
and those that `Connection` nominates stay (RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterable
from typing import NamedTuple

LONGEST_HEAD_BYTES = 65_536

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authorization",  # meant for us, the next hop
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# vLLM reads these to pick an engine rank: a client must not steer it.
_STEERING = frozenset({b"x-data-parallel-rank", b"x-data-parallel-host"})
_CREDENTIALS = frozenset({b"authorization", b"x-api-key", b"api-key", b"cookie"})
_OURS = frozenset({b"host", b"content-length", b"expect", b"x-request-id"})
_BLOCKED = _HOP_BY_HOP | _STEERING | _OURS
_BLOCKED_WITH_CREDENTIALS = _BLOCKED | _CREDENTIALS
# Of an answer; those of our own that are read on the way.
_READ = _HOP_BY_HOP | {b"content-length", b"content-type", b"x-request-id", b"retry-after"}

# A Connection header that names one of these is nonsense, and the body would lose its meaning.
_NEVER_NOMINATED = frozenset({b"", b"close", b"keep-alive", b"content-length", b"content-type"})

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")
# Strict on purpose: a head that two readers could read in two ways is no answer.
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\r\n\0]*))?\r\n((?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r\n)*)\r\n"
)
_LENGTH = re.compile(rb"[0-9]{1,18}")


class BadHead(Exception):
    """An answer's head that cannot be understood in one way only."""


class Head(NamedTuple):
    """An answer's head. `block` is its end-to-end header lines as they came.

    `length` is None where no Content-Length tells it. `persistent`: the connection may be used again.
    """

    status: int
    reason: bytes
    block: bytes
    length: int | None
    chunked: bool
    content_type: bytes
    persistent: bool
    retry_after: bool

    @property
    def streams(self) -> bool:
        """Whether it is a stream of server-sent events."""
        return self.content_type == b"text/event-stream"

    @property
    def bodiless(self) -> bool:
        """Whether an answer of this status has no body, whatever its headers say."""
        return self.status in {204, 304}


@functools.lru_cache(128)  # the heads of streams differ by their date alone, and that once a second
def read_head(data: bytes) -> Head:  # noqa: C901 - one loop on purpose: it runs for every answer
    """A whole head, blank line included; raises BadHead."""
    match = _HEAD.fullmatch(data)
    if match is None:
        raise BadHead("its head is malformed")
    minor, status, reason, block = match.groups(b"")
    lines: list[bytes] = []
    length: int | None = None
    coding = content_type = connection = b""
    retry_after = False
    for line in block.split(b"\r\n"):
        name, _, value = line.partition(b":")
        name = name.lower()
        if name not in _READ:
            lines.append(line)
        elif name == b"content-type":
            lines.append(line)
            content_type = value.partition(b";")[0].strip().lower()
        elif name == b"content-length":
            found = _length(value.strip(b" \t"))
            if length is None:
                lines.append(line)
            elif found != length:
                raise BadHead("it has two lengths")
            length = found
        elif name == b"transfer-encoding":
            coding = b"%b, %b" % (coding, value) if coding else value.strip(b" \t").lower()
        elif name == b"connection":
            connection = b"%b,%b" % (connection, value.lower())
        elif name == b"retry-after":
            lines.append(line)
            retry_after = True
    if coding and (coding != b"chunked" or length is not None or minor == b"0"):
        raise BadHead("its Transfer-Encoding leaves its length open")
    persistent = minor == b"1"
    if connection:
        tokens = {token.strip() for token in connection.split(b",")}
        persistent = b"close" not in tokens and (persistent or b"keep-alive" in tokens)
        nominated = tokens - _NEVER_NOMINATED
        lines = [line for line in lines if line.partition(b":")[0].lower() not in nominated]
    kept = b"\r\n".join(lines)  # the last line is empty
    return Head(int(status), reason, kept, length, bool(coding), content_type, persistent, retry_after)


def _length(value: bytes) -> int:
    if not _LENGTH.fullmatch(value):
        raise BadHead("its Content-Length is no number")
    return int(value)


def request_lines(fields: Iterable[tuple[bytes, bytes]], connection: bytes | None, *, credentials: bool) -> bytes:
    """A client's headers as vLLM gets them, each with its line end, from its lines behind their names in small letters.

    `connection` is the value of its `Connection`.
    """
    blocked = _BLOCKED if credentials else _BLOCKED_WITH_CREDENTIALS
    if connection is not None:
        blocked = blocked | {token.strip(b" \t") for token in connection.lower().split(b",")}
    lines = [line for name, line in fields if name not in blocked]
    lines.append(b"")
    return b"\r\n".join(lines)


def request_id(given: bytes | None) -> str:
    """The client's own id where it is short and plain (vLLM repeats it in every chunk), else a new one."""
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode()
    return f"{random.getrandbits(128):032x}"

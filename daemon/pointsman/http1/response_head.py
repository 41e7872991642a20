"""The head of vLLM's response: read strictly, hop-by-hop headers removed. Pure.

End-to-end headers are forwarded as unchanged lines, in order, with every value of a repeated one. Hop-by-hop headers
and those that `Connection` nominates are not (RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import re

import msgspec

from pointsman.http1.grammar import HOP_BY_HOP, TOKEN_BYTES, is_length

# Headers that are dropped, replaced, or read on the way.
_READ = HOP_BY_HOP | {b"content-length", b"content-type", b"x-request-id", b"retry-after"}
# Nominating one of these would take the body's meaning away, so the nomination is ignored.
_NEVER_NOMINATED = frozenset({b"", b"close", b"keep-alive", b"content-length", b"content-type"})
# Strict: a head that two readers could understand differently is refused.
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\r\n\0]*))?\r\n((?:[" + TOKEN_BYTES + rb"]+:[^\r\n\0]*\r\n)*)\r\n"
)


class MalformedHead(Exception):
    """A response head that cannot be understood in exactly one way."""


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """A response head; `block` is its end-to-end header lines, unchanged.

    `length` is None without a Content-Length. `persistent`: the connection may be used again.
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
        """True for a stream of server-sent events."""
        return self.content_type == b"text/event-stream"

    @property
    def bodiless(self) -> bool:
        """True if the status allows no body, whatever the headers say."""
        return self.status in {204, 304}


def read_head(data: bytes) -> ResponseHead:  # noqa: C901 - one loop on purpose: it runs for every answer
    """Read a complete head, blank line included; raises MalformedHead."""
    match = _HEAD.fullmatch(data)
    if match is None:
        raise MalformedHead("its head is malformed")
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
                raise MalformedHead("it has two lengths")
            length = found
        elif name == b"transfer-encoding":
            coding = b"%b, %b" % (coding, value) if coding else value.strip(b" \t").lower()
        elif name == b"connection":
            tokens = value.strip(b" \t").lower()
            connection = b"%b,%b" % (connection, tokens) if connection else tokens
        elif name == b"retry-after":
            lines.append(line)
            retry_after = True
    if coding and (coding != b"chunked" or length is not None or minor == b"0"):
        raise MalformedHead("its Transfer-Encoding leaves its length open")
    persistent = minor == b"1"
    if connection == b"keep-alive":
        persistent = True
    elif connection:
        nominated = {token.strip() for token in connection.split(b",")}
        persistent = b"close" not in nominated and (persistent or b"keep-alive" in nominated)
        nominated -= _NEVER_NOMINATED
        lines = [line for line in lines if line.partition(b":")[0].lower() not in nominated]
    forwarded = b"\r\n".join(lines)  # the last line is empty
    return ResponseHead(int(status), reason, forwarded, length, bool(coding), content_type, persistent, retry_after)


def _length(value: bytes) -> int:
    if not is_length(value):
        raise MalformedHead("its Content-Length is no number")
    return int(value)

"""The head of a response of vLLM's: read strictly, hop-by-hop headers removed. Pure.

End-to-end headers cross as the very lines that came, in order, with every value of a repeated one. Hop-by-hop headers
and those that `Connection` nominates do not (RFC 9110, section 7.6.1).
"""

from __future__ import annotations

import re

import msgspec

from pointsman.http1.grammar import HOP_BY_HOP, TOKEN_BYTES, is_length

# Headers that are read and cross.
_CROSSING = frozenset({b"content-length", b"content-type", b"retry-after"})
_READ = _CROSSING | HOP_BY_HOP | {b"x-request-id"}
# Nominating one of these would take the body's meaning away, so the nomination is ignored.
_NEVER_NOMINATED = frozenset({b"", b"close", b"keep-alive", b"content-length", b"content-type"})
# Strict: a head that two readers could understand differently is refused.
_HEAD = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([^\r\n\0]*))?\r\n((?:[" + TOKEN_BYTES + rb"]+:[^\r\n\0]*\r\n)*)\r\n"
)
# In a head in lower case.
_FIELDS = re.compile(rb"\n(%b):([^\r]*)" % b"|".join(sorted(_READ)))


class MalformedHead(Exception):
    """A response head that cannot be understood in exactly one way."""


class ResponseHead(msgspec.Struct, frozen=True, gc=False):
    """A response head; `block` holds its end-to-end header lines as they came.

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
        """True where the status allows no body, whatever the headers say."""
        return self.status in {204, 304}


def read_head(data: bytes) -> ResponseHead:
    """Read a complete head, blank line included; raises MalformedHead."""
    match = _HEAD.fullmatch(data)
    if match is None:
        raise MalformedHead("its head is malformed")
    minor, status, reason, block = match.groups(b"")
    values: dict[bytes, bytes] = {}
    for name, text in _FIELDS.findall(data.lower()):
        value = text.strip(b" \t")
        values[name] = b"%b\n%b" % (values[name], value) if name in values else value
    length, coding = _length(values.get(b"content-length")), values.get(b"transfer-encoding")
    if coding is not None and (coding != b"chunked" or length is not None or minor == b"0"):
        raise MalformedHead("its Transfer-Encoding leaves its length open")
    persistent, connection = minor == b"1", values.get(b"connection")
    dropped = values.keys() - _CROSSING
    if connection is not None:
        tokens = {token.strip() for token in connection.replace(b"\n", b",").split(b",")}
        persistent = b"close" not in tokens and (persistent or b"keep-alive" in tokens)
        dropped |= tokens - _NEVER_NOMINATED
    if dropped or (length is not None and b"\n" in values[b"content-length"]):
        block = _without(block, dropped)
    return ResponseHead(
        status=int(status),
        reason=reason,
        block=block,
        length=length,
        chunked=coding is not None,
        content_type=values.get(b"content-type", b"").rpartition(b"\n")[2].partition(b";")[0].strip(),
        persistent=persistent,
        retry_after=b"retry-after" in values,
    )


def _without(block: bytes, dropped: set[bytes]) -> bytes:
    """Return header lines without those of some names, and of several lengths, which are the same, the first."""
    kept = []
    for line in block.split(b"\r\n"):  # the last one is empty
        name = line.partition(b":")[0].lower()
        if name not in dropped:
            kept.append(line)
        if name == b"content-length":
            dropped.add(name)
    return b"\r\n".join(kept)


def _length(value: bytes | None) -> int | None:
    if value is None:
        return None
    first, *others = value.split(b"\n")
    if not is_length(first):
        raise MalformedHead("its Content-Length is no number")
    if any(other != first for other in others):
        raise MalformedHead("it has two lengths")
    return int(first)

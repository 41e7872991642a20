"""The head of a client's request: read strictly, or refused. Pure.

A head that two servers in a row read differently lets a request be smuggled past the first of them. So this accepts
RFC 9112's grammar without what it only permits a server to tolerate: no folded lines, no bare line feeds, and no second
value of a header that decides where the body ends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pointsman.errors import RequestError
from pointsman.http1.grammar import LONGEST_HEAD_BYTES, TOKEN_BYTES, is_length

# At most 128 fields, and 8190 bytes for a name, a value, or the target.
_HEAD = re.compile(
    rb"([A-Za-z]{1,20}) ([!\"$-~]{1,8190}) HTTP/([0-9]\.[0-9])\r\n"
    rb"((?:[" + TOKEN_BYTES + rb"]{1,8190}:[\t -~\x80-\xff]{0,8190}\r\n){0,128})\r\n"
)
# Nothing else begins a request, so whoever speaks TLS here need not wait for the head's time to be over.
_START = re.compile(rb"[A-Za-z]{1,20}(?: |$)")
_ABSOLUTE = re.compile(r"https?://([^/]+)(/.*)?", re.IGNORECASE)
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding"})


class RequestHead(NamedTuple):
    """A request head; `path` and `query` keep their percent-encoding. `old`: the client speaks HTTP/1.0.

    `fields` are (lower-case name, raw line) pairs; `values` maps the same names to their values, several of them joined
    by a comma. `length` is the body's, unless it is `chunked`.
    """

    method: str
    path: str
    query: str
    old: bool
    fields: list[tuple[bytes, bytes]]
    values: Mapping[bytes, bytes]
    length: int
    chunked: bool
    keep_alive: bool


def may_begin(data: bytes) -> bool:
    """Return whether `data`, an incomplete head, can become a valid one."""
    return len(data) <= LONGEST_HEAD_BYTES and (data == b"\r" or _START.match(data) is not None)


def read_head(data: bytes) -> RequestHead:
    """Read a complete head, blank line included; raises RequestError: 400, or 505 for another version of HTTP."""
    match = _HEAD.fullmatch(data)
    if match is None or len(data) > LONGEST_HEAD_BYTES:
        raise malformed("its head is not well-formed HTTP/1.1, or too long")
    method, target, version, block = match.groups()
    old = version == b"1.0"
    if not old and version != b"1.1":
        raise RequestError("HTTP/1.1 is spoken here", status=505, code="http_version_not_supported")
    values: dict[bytes, bytes] = {}
    fields: list[tuple[bytes, bytes]] = []
    lines = block.split(b"\r\n")
    lines.pop()  # behind the last line end
    for line in lines:
        name, _, value = line.partition(b":")
        name = name.lower()
        value = value.strip(b" \t")
        if name in values:
            if name in _ONCE:
                raise malformed(f"its {name.decode()} is there twice")
            value = b"%b,%b" % (values[name], value)
        values[name] = value
        fields.append((name, line))
    path, query = _asked(target.decode("ascii"), values.get(b"host"), old)
    chunked = b"transfer-encoding" in values
    length = values.get(b"content-length")
    if chunked and (old or length is not None or values[b"transfer-encoding"].lower() != b"chunked"):
        raise malformed("its Transfer-Encoding leaves its length open")
    if length is not None and not is_length(length):
        raise malformed("its Content-Length is no number")
    keep_alive = not old
    if b"connection" in values:
        tokens = {token.strip(b" \t") for token in values[b"connection"].lower().split(b",")}
        keep_alive = b"close" not in tokens and (not old or b"keep-alive" in tokens)
    return RequestHead(method.decode(), path, query, old, fields, values, int(length or 0), chunked, keep_alive)


def _asked(target: str, host: bytes | None, old: bool) -> tuple[str, str]:
    """Return path and query."""
    if host is None and not old:
        raise malformed("it has no Host")
    path, _, query = target.partition("?")
    if path[:1] == "/" or target == "*":
        return path, query
    match = _ABSOLUTE.fullmatch(path)
    if match is None or match[1].lower().encode() != (host or b"").lower():
        raise malformed("its target is no path, or of another host than its Host header")
    return match[2] or "/", query


def malformed(why: str) -> RequestError:
    """Return the error for a malformed request; `why` quotes nothing of it, which may be an attack on the reader."""
    return RequestError(f"the request is malformed: {why}", status=400, code="malformed_request")

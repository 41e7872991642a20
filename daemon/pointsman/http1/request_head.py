"""The head of a client's request: read strictly, or refused. Pure.

A head that two servers in a row read differently lets a request be smuggled past the first of them. So this accepts RFC
9112's grammar without the optional tolerance for servers: no folded lines, no bare line feeds, and no second value of a
header that decides where the body ends.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from pointsman.errors import RequestError
from pointsman.http1.forwarded_headers import forwarded_headers
from pointsman.http1.grammar import MAX_HEAD_BYTES, TOKEN_BYTES, is_length

# At most 128 fields in addition to the length, and 8190 bytes for a name, a value, or the target.
_HEAD = re.compile(
    rb"([A-Za-z]{1,20}) ([!\"$-~]{1,8190}) HTTP/([0-9]\.[0-9])\r\n"
    rb"((?:[" + TOKEN_BYTES + rb"]{1,8190}:[\t -~\x80-\xff]{0,8190}\r\n){0,128})\r\n"
)
# Nothing else begins a request, so a client that speaks TLS here is refused at once, not after the time for a head.
_START = re.compile(rb"[A-Za-z]{1,20}(?: |$)")
_ABSOLUTE = re.compile(r"https?://([^/]+)(/.*)?", re.IGNORECASE)
_ONCE = frozenset({b"host", b"content-length", b"transfer-encoding"})


# As most clients spell it; other spellings are only slightly slower.
_LENGTHS = (b"\r\nContent-Length: ", b"\r\ncontent-length: ")
# The heads of a client differ only in their length, so a parsed head is stored for the next request: at most this many
# heads, of at most this length. Even with the shortest fields they take at most 20 MB.
_KEPT_HEADS = 512
_MAX_KEPT_HEAD_BYTES = 4096


class RequestHead:
    """A request head; `path` and `query` keep their percent-encoding. `http_1_0`: the client speaks HTTP/1.0.

    `values` maps lower-case names to values, several of one name joined by a comma. The body is `chunked`, or its
    length is read with the head. `keep_alive`: the client may send another request on the connection. `websocket`: the
    client offers to switch to the WebSocket protocol (RFC 6455).

    One head may belong to many requests, so it must not be changed.
    """

    __slots__ = (
        "_fields",
        "_forwarded",
        "chunked",
        "http_1_0",
        "keep_alive",
        "method",
        "path",
        "query",
        "values",
        "websocket",
    )

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        fields: list[tuple[bytes, bytes]],
        values: Mapping[bytes, bytes],
        *,
        http_1_0: bool,
        chunked: bool,
        keep_alive: bool,
        websocket: bool,
    ) -> None:
        """Take `fields` as (lower-case name, raw line) pairs."""
        self.method = method
        self.path = path
        self.query = query
        self.http_1_0 = http_1_0
        self.values = values
        self.chunked = chunked
        self.keep_alive = keep_alive
        self.websocket = websocket
        self._fields = fields
        self._forwarded: dict[tuple[bool, bool, bool], bytes] = {}

    def forwarded(self, *, credentials: bool, proxied: bool, traced: bool) -> bytes:
        """Return the header lines to forward to vLLM, as `forwarded_headers` does."""
        lines = self._forwarded.get((credentials, proxied, traced))
        if lines is None:
            lines = self._forwarded[credentials, proxied, traced] = forwarded_headers(
                self._fields, self.values.get(b"connection"), credentials=credentials, proxied=proxied, traced=traced
            )
        return lines


def may_begin(data: bytes) -> bool:
    """Return whether `data`, an incomplete head, can become a valid one."""
    return len(data) <= MAX_HEAD_BYTES and (data == b"\r" or _START.match(data) is not None)


def read_head(data: bytes) -> tuple[RequestHead, int]:
    """Read a complete head, blank line included; return it with the length of the body, 0 if that is chunked.

    Raises RequestError: 400, or 505 for another version of HTTP.
    """
    if len(data) > MAX_HEAD_BYTES:
        raise malformed("its head is too long")
    rest, length = _without_length(data)
    head = (_read_cached if len(rest) <= _MAX_KEPT_HEAD_BYTES else _read)(rest)
    if length is None:
        length = head.values.get(b"content-length")
        return head, int(length or 0)
    if b"content-length" in head.values:
        raise malformed("its content-length is there twice")
    if head.chunked:
        raise _open_ended()
    return head, int(length)


def _without_length(data: bytes) -> tuple[bytes, bytes | None]:
    """Return a head without the line of a Content-Length in the usual spelling, and its value."""
    for start in _LENGTHS:
        at = data.find(start)
        if at >= 0:
            end = data.find(b"\r\n", at + len(start))
            value = data[at + len(start) : end]
            return (data[:at] + data[end:], value) if is_length(value) else (data, None)
    return data, None


def _read(data: bytes) -> RequestHead:
    match = _HEAD.fullmatch(data)
    if match is None:
        raise malformed("its head is not well-formed HTTP/1.1, or too long")
    method, target, version, block = match.groups()
    http_1_0 = version == b"1.0"
    if not http_1_0 and version != b"1.1":
        raise RequestError("HTTP/1.1 is spoken here", status=505, code="http_version_not_supported")
    values: dict[bytes, bytes] = {}
    fields: list[tuple[bytes, bytes]] = []
    lines = block.split(b"\r\n")
    lines.pop()  # after the last line end
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
    path, query = _asked(target.decode("ascii"), values.get(b"host"), http_1_0)
    chunked = b"transfer-encoding" in values
    length = values.get(b"content-length")
    if chunked and (http_1_0 or length is not None or values[b"transfer-encoding"].lower() != b"chunked"):
        raise _open_ended()
    if length is not None and not is_length(length):
        raise malformed("its Content-Length is no number")
    keep_alive = not http_1_0
    websocket = False
    tokens: set[bytes] = set()
    if b"connection" in values:
        tokens = {token.strip(b" \t") for token in values[b"connection"].lower().split(b",")}
        keep_alive = b"close" not in tokens and (not http_1_0 or b"keep-alive" in tokens)
    if b"upgrade" in values:  # the bytes after it are not HTTP, whether the offer is accepted or not
        keep_alive = False
        offered = b"upgrade" in tokens and values[b"upgrade"].lower() == b"websocket"
        websocket = offered and method == b"GET" and not http_1_0
    return RequestHead(
        method.decode(),
        path,
        query,
        fields,
        values,
        http_1_0=http_1_0,
        chunked=chunked,
        keep_alive=keep_alive,
        websocket=websocket,
    )


_read_cached = functools.lru_cache(_KEPT_HEADS)(_read)


def _asked(target: str, host: bytes | None, http_1_0: bool) -> tuple[str, str]:
    """Return path and query."""
    if host is None and not http_1_0:
        raise malformed("it has no Host")
    path, _, query = target.partition("?")
    if path[:1] == "/" or target == "*":
        return path, query
    match = _ABSOLUTE.fullmatch(path)
    if match is None or match[1].lower().encode() != (host or b"").lower():
        raise malformed("its target is no path, or of another host than its Host header")
    return match[2] or "/", query


def _open_ended() -> RequestError:
    return malformed("its Transfer-Encoding leaves its length open")


def malformed(why: str) -> RequestError:
    """Return the error for a malformed request; `why` quotes none of it, as it may be an attack on the reader."""
    return RequestError(f"the request is malformed: {why}", status=400, code="malformed_request")

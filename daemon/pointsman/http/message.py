"""A client's request, and the answers that are ours."""

from __future__ import annotations

import asyncio
import email.utils
import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from pointsman.errors import HttpError, MethodNotAllowed, RequestError, error_body

if TYPE_CHECKING:
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from multidict import CIMultiDictProxy

    from pointsman.http.connection import Connection

Pairs = list[tuple[str, str]]
Handler = Callable[["Request"], Awaitable["Response | None"]]
"""Answers a request, or returns None where the answer was written already. Raises nothing but CancelledError."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Response:
    """An answer of ours. `lines` are whole header lines; `close`: the connection is not used again."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Pairs = field(default_factory=list)
    lines: bytes = b""
    close: bool = False

    def encode(self, *, keep_alive: bool, old: bool, bodiless: bool = False) -> bytes:
        """As bytes, for a client of HTTP/1.0 if `old`, for a HEAD request if `bodiless`."""
        connection = "" if keep_alive is not old else f"Connection: {'keep-alive' if keep_alive else 'close'}\r\n"
        head = _head(self, connection)
        return b"%b%b\r\n%b" % (head.encode("latin-1"), self.lines, b"" if bodiless else self.body)


def _head(response: Response, connection: str) -> str:
    more = "".join([f"{name}: {value}\r\n" for name, value in response.headers])
    return (
        f"HTTP/1.1 {response.status} {_REASONS.get(response.status, '')}\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(response.body)}\r\n"
        f"Date: {_date(int(time.time()))}\r\n{connection}{more}"
    )


@functools.lru_cache(1)
def _date(now: int) -> str:
    return email.utils.formatdate(now, usegmt=True)


def json_response(value: object, status: int = 200) -> Response:
    """An answer of JSON."""
    return Response(status, msgspec.json.encode(value))


def error_response(error: HttpError) -> Response:
    """An error in OpenAI's form."""
    response = json_response(error.body(), error.status)
    if error.retry_after is not None:
        response.headers.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, MethodNotAllowed):
        response.headers.append(("Allow", error.allowed))
    return response


def refusal(status: int, message: str, code: str) -> Response:
    """An error of the client's, after which the connection is closed."""
    body = error_body(message, type="invalid_request_error", param=None, code=code)
    return Response(status, msgspec.json.encode(body), close=True)


def objection(message: RawRequestMessage) -> Response | None:
    """What aiohttp's parser lets pass and two servers in a row could read in two ways, or a version nobody speaks."""
    if message.version == (1, 0):
        if "Transfer-Encoding" in message.headers:  # of HTTP/1.1; a server of 1.0 would take the body for a request
            return refusal(400, "HTTP/1.0 has no Transfer-Encoding", "malformed_request")
    elif message.version != (1, 1):
        return refusal(505, "HTTP/1.1 is spoken here", "http_version_not_supported")
    elif "Transfer-Encoding" in message.headers and _codings(message) != ["chunked"]:
        return refusal(400, "the only Transfer-Encoding here is chunked", "malformed_request")
    target = message.path
    absolute = target[0] != "/" and target != "*" and message.method != "CONNECT"
    if absolute and message.url.authority.lower() != message.headers.get("Host", "").lower():
        return refusal(400, "the target's host is not the Host header's", "malformed_request")
    if "#" in target:
        return refusal(400, "a request's target has no fragment", "malformed_request")
    return None


def _codings(message: RawRequestMessage) -> list[str]:
    return [value.strip().lower() for value in message.headers.getall("Transfer-Encoding")]


class Request:
    """One request. Its body may still be on the way; `read` waits for it.

    `path` and `query` are as they came, percent-encoding and all. `old`: the client speaks HTTP/1.0.
    """

    __slots__ = (
        "_complete",
        "_error",
        "_limit",
        "_parts",
        "_payload",
        "_size",
        "_waiter",
        "connection",
        "headers",
        "keep_alive",
        "method",
        "old",
        "parameters",
        "path",
        "query",
        "raw_headers",
    )

    def __init__(self, connection: Connection, message: RawRequestMessage, payload: StreamReader, limit: int) -> None:
        """At most `limit` bytes of the body are kept."""
        self.connection = connection
        self.method = message.method
        self.path, _, self.query = message.path.partition("?")
        if self.path[0] != "/":  # absolute form, and `*`
            self.path = message.url.raw_path
        self.headers: CIMultiDictProxy[str] = message.headers
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        self.old = message.version == (1, 0)
        self.keep_alive = not message.should_close
        self.parameters: dict[str, str] = {}
        self._payload = payload
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._complete = False
        self._error: HttpError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.arrived()

    @property
    def complete(self) -> bool:
        """Whether the whole body has come."""
        return self._complete

    def arrived(self) -> None:
        """More of the body is there, or its end."""
        payload = self._payload
        # Taken out at once: the parser's reader also remembers where each chunk ended.
        data = payload.read_nowait()
        self._complete = payload.is_eof()
        if data:
            self._size += len(data)
            if self._size > self._limit:
                self._parts.clear()
                self._error = too_large(self._limit)
            else:
                self._parts.append(data)
        if (self._complete or self._error is not None) and self._waiter is not None:
            self._wake()

    def broken(self, error: HttpError) -> None:
        """The body cannot be read to its end."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def read(self, seconds: float) -> bytes:
        """The whole body; raises RequestError: 408 after so many seconds, 413 when it is too large."""
        if not self._complete and self._error is None:
            if self.headers.get("Expect", "").lower() == "100-continue" and not self._size and not self.old:
                self.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._waiter
            except TimeoutError:
                raise RequestError("the body did not arrive in time", status=408, code="request_timeout") from None
            finally:
                self._waiter = None
        if self._error is not None:
            raise self._error
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(limit: int) -> RequestError:
    """The error for a body of more than `limit` bytes."""
    return RequestError(
        f"the body is larger than {limit} bytes (pointsman.server.max_body_bytes)", status=413, code="body_too_large"
    )

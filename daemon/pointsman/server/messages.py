"""A client's request, and the responses that this program makes itself."""

from __future__ import annotations

import asyncio
import email.utils
import functools
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import msgspec

from pointsman.eager import in_task
from pointsman.errors import HttpError, MethodNotAllowed, RequestError, error_body
from pointsman.http1.body import Chunked, Framing, Length
from pointsman.http1.request_head import RequestHead

Pairs = list[tuple[str, str]]
Handler = Callable[["Request"], Coroutine[None, None, "Response | None"]]
"""Answers a request; None where a job has taken the request over. Raises nothing but CancelledError."""


class Flow(Protocol):
    """A source of bytes for a client that can be paused."""

    def pause(self) -> None:
        """Stop writing: the client reads more slowly than it is written to."""

    def resume(self) -> None:
        """Write on: the client has caught up."""


class Cancellable(Protocol):
    """A task that answers a request and can be cancelled."""

    def cancel(self) -> object:
        """End: the client left, or the service stops. In the second case the job may still answer."""


class ResponseWriter(Protocol):
    """The client's side of one request: where its answer is written, and who answers it.

    `choked`: the client does not read fast enough. Whoever writes a long answer puts itself into `flow` to be told,
    and whoever takes over the request puts itself into `job` to be cancelled.
    """

    choked: bool
    flow: Flow | None
    job: Cancellable | None

    @property
    def closing(self) -> bool:
        """True once the client is gone, or the connection is being closed."""

    @property
    def client_address(self) -> str:
        """The client's IP address; empty for a Unix socket."""

    def write(self, data: bytes) -> None:
        """Send; bytes for a client that is gone are dropped."""

    def run(self, work: Coroutine[None, None, Response | None]) -> None:
        """Let `work` answer the request; None from it leaves the request to the `job` it has installed."""

    def answer(self, response: Response) -> None:
        """Write a whole answer, which ends the request."""

    def answered(self, request: Request) -> None:
        """End the request, whose answer is written."""

    def keeps_alive(self, request: Request) -> bool:
        """Return whether another request may follow on the connection."""

    def abort(self) -> None:
        """Close the connection at once."""


_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Response:
    """A response of this program; `lines` are whole header lines."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: Pairs = field(default_factory=list)
    lines: bytes = b""

    def encode(self, *, keep_alive: bool, old: bool, bodiless: bool = False) -> bytes:
        """Serialise for a client of HTTP/1.0 if `old`, for a HEAD request if `bodiless`."""
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
    """Return a JSON response."""
    return Response(status, msgspec.json.encode(value))


def error_response(error: HttpError, body: object = None) -> Response:
    """Return the response to a request that failed; `body` is the error in another form than OpenAI's."""
    response = json_response(body or error.body(), error.status)
    if error.retry_after is not None:
        response.headers.append(("Retry-After", str(error.retry_after)))
    if isinstance(error, MethodNotAllowed):
        response.headers.append(("Allow", error.allowed))
    return response


def refusal(status: int, message: str, code: str) -> Response:
    """Return the error for a client whose connection is then closed."""
    body = error_body(message, type="invalid_request_error", param=None, code=code)
    return Response(status, msgspec.json.encode(body))


class Request:
    """One request; its body may be incomplete, and `read` waits for it."""

    __slots__ = (
        "_error",
        "_framing",
        "_limit",
        "_parts",
        "_size",
        "_waiter",
        "head",
        "keep_alive",
        "parameters",
        "writer",
    )

    def __init__(self, writer: ResponseWriter, head: RequestHead, limit: int) -> None:
        """At most `limit` bytes of the body are kept."""
        self.writer = writer
        self.head = head
        self.keep_alive = head.keep_alive
        self.parameters: dict[str, str] = {}
        self._framing: Framing = Chunked(verbatim=False) if head.chunked else Length(head.length)
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._error: HttpError | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def complete(self) -> bool:
        """True once the whole body has arrived."""
        return self._framing.done

    def feed(self, data: bytes) -> bytes:
        """Take more of the body and return the bytes behind it; raises Malformed."""
        framing = self._framing
        data = framing.feed(data)
        if data:
            self._size += len(data)
            if self._size > self._limit:
                self._parts.clear()
                self._error = too_large(self._limit)
            else:
                self._parts.append(data)
        if self._waiter is not None and (framing.done or self._error is not None):
            self._wake()
        return framing.surplus

    def broken(self, error: HttpError) -> None:
        """Fail the body, which cannot be read to its end."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def read(self, seconds: float) -> bytes:
        """Return the whole body, once; raises RequestError: 408 after so many seconds, 413 when it is too large."""
        if not self.complete and self._error is None:
            head = self.head
            if head.values.get(b"expect", b"").lower() == b"100-continue" and not self._size and not head.old:
                self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await in_task()
        if not self.complete and self._error is None:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(seconds):
                    await self._waiter
            except TimeoutError:
                raise RequestError("the body did not arrive in time", status=408, code="request_timeout") from None
        if self._error is not None:
            raise self._error
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(limit: int) -> RequestError:
    """Return the error for a body of more than `limit` bytes."""
    return RequestError(
        f"the body is larger than {limit} bytes (pointsman.server.max_body_bytes)", status=413, code="body_too_large"
    )

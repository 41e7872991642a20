"""A client's request, and the client's side of it: reading its body, and writing its answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol

from pointsman.eager import continue_in_task
from pointsman.errors import BuffersFull, HttpError, RequestError
from pointsman.http1.body import ChunkedFraming, Framing, LengthFraming
from pointsman.http1.request_head import RequestHead
from pointsman.long_body import LONG_BYTES, LongBody, Received
from pointsman.server.byte_budget import BodyWaiter, ClientBudget
from pointsman.server.client import Client
from pointsman.server.job import Cancellable, PausableSource
from pointsman.server.response import Response

# A body that gets no room in memory in this time is refused.
ROOM_SECONDS = 10.0
# The rate of a body is measured over this time, so a pause of a few seconds costs a client nothing.
RATE_SECONDS = 10.0

Handler = Callable[["Request"], Coroutine[None, None, Response | None]]
"""A function that answers a request; None if a job has taken the request over. Raises only CancelledError."""


class ResponseWriter(Protocol):
    """The client's side of one request: takes its answer, and knows the job that answers.

    `choked`: the client does not read fast enough. The writer of a long answer sets `flow` to be paused, and the job
    that takes over the request sets `job` to be canceled.
    """

    choked: bool
    flow: PausableSource | None
    job: Cancellable | None

    @property
    def closing(self) -> bool:
        """True once the client is gone, or the connection is being closed."""

    @property
    def proxied(self) -> bool:
        """True if the peer is a trusted proxy, which is believed about its client's address."""

    def client(self, head: RequestHead) -> Client:
        """Return the client that a request is from."""

    def read_on(self) -> None:
        """Read the body of the request, which has waited unread."""

    def switch(self, sink: Callable[[bytes], None]) -> None:
        """Give `sink` the client's bytes from now on, beginning with those after its offer to switch."""

    def pause_reading(self) -> None:
        """Stop reading until `resume_reading`; a client that leaves meanwhile is noticed."""

    def resume_reading(self) -> None:
        """Resume reading."""

    def write(self, data: bytes) -> None:
        """Send; drop bytes for a client that is gone."""

    def write_soon(self, data: bytes) -> None:
        """Send as `write` does, together with bytes for other clients in this turn of the event loop."""

    def run(self, work: Coroutine[None, None, Response | None]) -> None:
        """Let `work` answer the request; None from it leaves the request to the `job` it has installed."""

    def answer(self, response: Response) -> None:
        """Write a complete answer, which ends the request."""

    def end_request(self, request: Request) -> None:
        """End the request, whose answer is written."""

    def keeps_alive(self, request: Request) -> bool:
        """Return whether another request may follow on the connection."""

    def abort(self) -> None:
        """Close the connection at once."""


class Request:
    """One request; its body may be incomplete, and `read` waits for it."""

    __slots__ = (
        "_client_budget",
        "_error",
        "_framing",
        "_length",
        "_limit",
        "_limit_name",
        "_long",
        "_parts",
        "_reserved",
        "_room",
        "_unread",
        "_waiter",
        "client",
        "complete",
        "head",
        "keep_alive",
        "lines",
        "parameters",
        "size",
        "writer",
    )

    def __init__(
        self,
        writer: ResponseWriter,
        head: RequestHead,
        length: int,
        limit: int,
        client_budget: ClientBudget,
        reserved: int,
        *,
        unread: bool = False,
    ) -> None:
        """Take the `length` of the body, unless it is chunked.

        At most `limit` bytes of the body are stored; they count in `client_budget`, as do `reserved` bytes, until
        `release`.

        `unread`: the body waits for room in memory, and no byte of it may be fed before `ResponseWriter.read_on`.
        """
        self.writer = writer
        self.head = head
        self.client = writer.client(head)
        self.keep_alive = head.keep_alive
        self.parameters: dict[str, str] = {}
        self.lines = b""
        """Header lines of every answer."""
        self._framing: Framing = ChunkedFraming(verbatim=False) if head.chunked else LengthFraming(length)
        self.complete = self._framing.done
        """True once the whole body has arrived."""
        self._length = length
        self._limit = limit
        self._limit_name = "pointsman.server.max_body_bytes"
        self._client_budget = client_budget
        self._reserved = reserved
        self._unread = unread
        self._room: BodyWaiter | None = None
        self._parts: list[bytes] = []
        self._long: LongBody | None = None  # replaces the parts
        self.size = 0
        """The number of bytes of the body that have arrived."""
        self._error: HttpError | None = too_large(limit) if length > limit else None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def is_json(self) -> bool:
        """Return whether the body is JSON, as its sender says."""
        # The first of several counts, as for vLLM.
        kind = self.head.values.get(b"content-type", b"")
        if kind != b"application/json":
            kind = kind.partition(b";")[0].partition(b",")[0].strip().lower()
        return kind == b"application/json" or kind.endswith(b"+json")

    # --- called by the connection ----------------------------------------------------------------------------------

    def feed(self, data: bytes) -> bytes:
        """Take more of the body and return the bytes after it; raises MalformedBody."""
        framing = self._framing
        data = framing.feed(data)
        self.complete = framing.done
        if data:
            size = self.size + len(data)
            if size <= self._reserved:
                self._add(data, size)
            elif self._error is None:
                self._keep(data, size)
        if self._waiter is not None and (self.complete or self._error is not None):
            self._wake()
        return framing.surplus

    def _add(self, data: bytes, size: int) -> None:
        self.size = size
        if size <= LONG_BYTES:
            self._parts.append(data)
        elif self._long is None:
            self._long = LongBody((*self._parts, data), self._length)
            self._parts = []
        else:
            self._long.add(data)

    def _keep(self, data: bytes, size: int) -> None:
        """Add to the body, which then has `size` bytes."""
        if size > self._limit:
            self._discard(too_large(self._limit, self._limit_name), size)
        elif not self._grow(size):
            self._discard(BuffersFull(), size)
        else:
            self._add(data, size)

    def _grow(self, size: int) -> bool:
        """Reserve room for a body of unknown length that now has `size` bytes."""
        if not self._client_budget.reserve(size - self._reserved, size):
            return False
        self._reserved = size
        return True

    def _discard(self, error: HttpError, size: int) -> None:
        self._parts, self._long, self.size, self._error = [], None, size, error

    def broken(self, error: HttpError) -> None:
        """Fail the body, which cannot be read to its end."""
        self._error = error
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def release(self) -> None:
        """Release the room in memory: the body was sent and is no longer needed, or the request has ended.

        Unread bytes are dropped: a canceled request may wait long for garbage collection.
        """
        self._parts, self._long = [], None
        if self._room is not None:
            self._room.cancel()
        if self._reserved:
            reserved, self._reserved = self._reserved, 0
            self._client_budget.release(reserved)

    @property
    def offers_websocket(self) -> bool:
        """True if the client waits for a 101 (Switching Protocols): bytes after the head are not HTTP."""
        return self.head.websocket and not self.has_body

    @property
    def arriving(self) -> bool:
        """True while the body is incomplete and without an error."""
        return not self.complete and self._error is None

    @property
    def has_body(self) -> bool:
        """True unless the head declares the body empty."""
        return self.head.chunked or self._length > 0

    def limit_to(self, limit: int, name: str = "max_body_bytes of your key") -> None:
        """Refuse a body of more than `limit` bytes, a limit of the client's or the path's; `read` names it."""
        if limit >= self._limit:
            return
        self._limit, self._limit_name = limit, name
        if max(self._length, self.size) > limit:
            self._error = too_large(limit, self._limit_name)

    # --- called by the handler -------------------------------------------------------------------------------------

    async def read(self, seconds: float, min_bytes_per_second: int = 0) -> Received:
        """Return the whole body, once.

        Raises BuffersFull if there is no room for it, or RequestError: 413 if it is too large; 408 if it takes longer
        than `seconds`, or if it comes with less than `min_bytes_per_second` bytes a second.
        """
        if not self.complete and self._error is None:
            await continue_in_task()
            if self._unread:
                await self._room_for_it()
            if (
                self.head.values.get(b"expect", b"").lower() == b"100-continue"
                and not self.size
                and not self.head.http_1_0
            ):
                self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self._whole(seconds, min_bytes_per_second)
        if self._error is not None:
            raise self._error
        if self._long is not None:
            gathered, self._long = self._long, None
            return gathered.whole()
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _room_for_it(self) -> None:
        """Wait for room in memory, or until the body fails; raises BuffersFull, or the failure."""
        granted = self._waiter = asyncio.get_running_loop().create_future()

        def grant() -> None:
            self._reserved = self._length
            self._wake()  # its time may have run out in this turn of the event loop
            self.writer.read_on()

        self._room = self._client_budget.wait(self._length, grant)
        if self._room is None:
            raise BuffersFull
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                await granted
        except TimeoutError:
            raise BuffersFull from None
        finally:
            self._room.cancel()
        if self._error is not None:
            raise self._error

    async def _whole(self, seconds: float, min_bytes_per_second: int) -> None:
        """Wait for the whole body, or until it fails; raises RequestError."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        before = 0
        while not self.complete and self._error is None:
            until = min(end, loop.time() + RATE_SECONDS)
            self._waiter = loop.create_future()
            try:
                async with asyncio.timeout_at(until):
                    await self._waiter
            except TimeoutError:
                if until == end:
                    raise _too_slow("the body did not arrive in time (pointsman.server.body_timeout_ms)") from None
                if self.size - before < min_bytes_per_second * RATE_SECONDS:
                    raise _too_slow("the body arrives too slowly (pointsman.server.min_body_rate)") from None
                before = self.size


def _too_slow(why: str) -> RequestError:
    return RequestError(why, status=408, code="request_timeout")


def too_large(limit: int, limit_name: str = "pointsman.server.max_body_bytes") -> RequestError:
    """Return the error for a body of more than `limit` bytes."""
    return RequestError(f"the body is larger than {limit} bytes ({limit_name})", status=413, code="body_too_large")

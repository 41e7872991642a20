"""The connection of one client: reads its requests, has them answered in order, and enforces the limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Protocol, cast

from pointsman import eager
from pointsman.errors import RequestError, TooBusy
from pointsman.http1.body import Malformed
from pointsman.http1.request_head import malformed, may_begin, read_head
from pointsman.server.messages import Cancellable, Flow, Handler, Request, Response, error_response, refusal

# Pipelined requests that are read ahead of their answers.
PIPELINED = 8
# Longer than the 60 s for which vllm bench keeps a connection, so that the client closes first, not we.
KEEPALIVE_SECONDS = 75.0
# How long a refused client that is still sending may take to read the answer: closing at once would reset the
# connection, and the client's kernel would discard the answer.
LINGER_SECONDS = 2.0
# Grace period for connections just accepted when the service stops: TCP retransmits a lost first packet after a second.
FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a client may send; `header_timeout` is in seconds."""

    header_timeout: float
    max_body_bytes: int
    max_connections: int


class ListenerLike(Protocol):
    """The listener as a connection sees it."""

    handler: Handler
    draining: bool

    @property
    def limits(self) -> Limits:
        """The limits of the current config."""

    def opened(self, connection: ClientConnection) -> bool:
        """Register a connection; return False where there are too many already."""

    def closed(self, connection: ClientConnection) -> None:
        """Forget a connection."""

    def abandoned(self, request: Request) -> None:
        """Record a pipelined request whose client left before its turn."""

    def count_refused(self, reason: str) -> None:
        """Count a refusal."""


class ClientConnection(asyncio.Protocol):
    """Read requests and have the owner's handler answer them, one at a time and in order.

    This is the `ResponseWriter` of the current request.
    """

    __slots__ = (
        "_behind",
        "_current",
        "_deaf",
        "_held",
        "_incoming",
        "_loop",
        "_owner",
        "_partial",
        "_refusal",
        "_served",
        "_since",
        "_timer",
        "_waiting",
        "choked",
        "flow",
        "job",
        "transport",
    )

    def __init__(self, owner: ListenerLike) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._current: Request | None = None
        self.job: Cancellable | None = None
        self._waiting: deque[Request] = deque()
        self._incoming: Request | None = None  # the request whose body is incomplete
        self._refusal: Response | None = None  # sent once the requests before it are answered
        self._deaf = False  # ignore whatever the client still sends
        self._behind = b""  # bytes not parsed yet
        self._held = False  # parsing waits until pipelined requests are answered
        self._partial = False  # a head is incomplete
        self._served = False  # a request was answered
        self._since = self._loop.time()  # when the head began, or when the connection fell idle
        self.choked = False
        self.flow: Flow | None = None

    # --- called by the event loop ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        limits = self._owner.limits
        self._timer = self._loop.call_later(limits.header_timeout, self._tick)
        if not self._owner.opened(self):
            self._owner.count_refused("connections")
            self._refuse(error_response(TooBusy("too many connections (pointsman.server.max_connections)")))

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._deaf = True
        self.flow = None
        self._owner.closed(self)
        job, self.job = self.job, None
        if job is not None:
            job.cancel()
        while self._waiting:
            self._owner.abandoned(self._waiting.popleft())

    def eof_received(self) -> bool:
        if self._current is not None:
            # A half-close looks the same as a client that is gone. The second is far more common, and each second of
            # a generation for nobody is GPU time.
            self.transport.abort()
        return False

    def pause_writing(self) -> None:
        self.choked = True
        if self.flow is not None:
            self.flow.pause()

    def resume_writing(self) -> None:
        self.choked = False
        if self.flow is not None:
            self.flow.resume()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if self._behind:
            data, self._behind = self._behind + data, b""
        if self._incoming is not None:
            data = self._fed(self._incoming, data)
        try:
            for _ in range(PIPELINED):
                if not data or self._unanswered == PIPELINED:
                    break
                data = self._taken(data)
        except RequestError as error:
            self._refuse_in_turn(error)
        else:
            if data:
                self._hold(data)

    @property
    def _unanswered(self) -> int:
        return len(self._waiting) + (self._current is not None)

    def _taken(self, data: bytes) -> bytes:
        """Take the request that `data` begins with and return the bytes behind it; raises RequestError."""
        if data.startswith(b"\r\n"):  # some clients send an extra CRLF after a body
            data = data[2:]
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            self._await_head(data)
            return b""
        self._partial = False
        head = read_head(data[:end])
        request = Request(self, head, self._owner.limits.max_body_bytes)
        if b"upgrade" in head.values:
            request.keep_alive = False  # no upgrade is supported, and what follows is not HTTP
        data = self._fed(request, data[end:])
        if self._current is None:
            self._start(request)
        else:
            self._waiting.append(request)
        return data

    def _await_head(self, data: bytes) -> None:
        """Keep the beginning of a head; raises RequestError where it cannot become one."""
        self._behind = data
        if not data:
            return
        if not may_begin(data):
            raise malformed("its head is not well-formed HTTP/1.1, or too long")
        if self._current is None and not self._partial:
            self._clock_head()

    def _clock_head(self) -> None:
        self._partial = True
        self._since = self._loop.time()
        self._rearm(self._since + self._owner.limits.header_timeout)

    def _fed(self, request: Request, data: bytes) -> bytes:
        """Feed a request's body and return the bytes behind it."""
        try:
            data = request.feed(data)
        except Malformed:
            self._owner.count_refused("malformed")
            self._deaf = True
            request.broken(malformed("the framing of its body"))
            data = b""
        done = request.complete or self._deaf
        self._incoming = None if done else request
        if done and not request.keep_alive:
            self._deaf = True
            return b""
        return data

    def _hold(self, data: bytes) -> None:
        """Keep what a client sent too far ahead of its answers, and stop reading from it."""
        self._behind = data
        self.transport.pause_reading()
        if self._current is None:
            self._loop.call_soon(self._read_on)  # all were answered at once: let other connections run first
        else:
            self._held = True

    # --- requests ----------------------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        """True once the client is gone, or the connection is being closed."""
        return self.transport.is_closing()

    @property
    def client_address(self) -> str:
        """The client's IP address; empty for a Unix socket."""
        peer = self.transport.get_extra_info("peername")
        return peer[0] if isinstance(peer, tuple) else ""

    def _start(self, request: Request) -> None:
        self._current = request
        self.run(self._owner.handler(request))

    def run(self, work: Coroutine[None, None, Response | None]) -> None:
        """Let `work` answer the current request; None from it leaves the request to the `job` it has installed."""
        task = eager.run(self._answer(work), self._loop)
        if task is not None:
            self.job = task

    async def _answer(self, work: Coroutine[None, None, Response | None]) -> None:
        response = await work
        if response is not None:
            self.answer(response)

    def answer(self, response: Response) -> None:
        """Write a whole answer to the current request, which ends it."""
        request = self._current
        if request is not None:
            request.keep_alive = self.keeps_alive(request)
            bodiless = request.head.method == "HEAD"
            self.write(response.encode(keep_alive=request.keep_alive, old=request.head.old, bodiless=bodiless))
            self.answered(request)

    def keeps_alive(self, request: Request) -> bool:
        """Return whether another request may follow on this connection."""
        return request.keep_alive and request.complete and not self._owner.draining

    def answered(self, request: Request) -> None:
        """End the current request, whose answer is written, and begin the next one."""
        self._current = self.job = None
        self._served = True
        if self.transport.is_closing():
            return
        if not request.keep_alive:
            self.close(linger=not request.complete or bool(self._waiting))
        elif self._waiting:
            self._start(self._waiting.popleft())
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._owner.draining:
            self.close()
        elif self._behind and not self._held:
            self._clock_head()  # the answer's time does not count against the client
        else:
            self._since = self._loop.time()
        if self._held and not self._waiting:
            self._held = False
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """Resume reading, with the bytes that were kept first."""
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self.data_received(b"")

    def write(self, data: bytes) -> None:
        """Send; bytes for a client that is gone are dropped.

        After uvloop has closed a broken transport, and until `connection_lost`, its `write` raises.
        """
        if not self.transport.is_closing():
            self.transport.write(data)

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    # --- refusals and the end ----------------------------------------------------------------------------------

    def _refuse_in_turn(self, error: RequestError) -> None:
        """Stop reading, and refuse once the requests before this one are answered."""
        self._owner.count_refused("malformed")
        self._deaf = True
        if self._current is None:
            self._refuse(error_response(error))
        else:
            self._refusal = error_response(error)

    def _refuse(self, response: Response) -> None:
        self.write(response.encode(keep_alive=False, old=False))
        self.close(linger=True)

    def close(self, *, linger: bool = False) -> None:
        """Flush and close; with `linger`, give a client that is still sending time to read the answer."""
        self._deaf = True
        if self.transport.is_closing():
            return
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer.cancel()
            self._timer = self._loop.call_later(LINGER_SECONDS, self.transport.abort)
            self.transport.resume_reading()
        else:
            self.transport.close()

    def drain(self) -> None:
        """Close if no request has begun; a connection just accepted gets a grace period for its first request."""
        if self._current is not None or self._partial or self._deaf:
            return  # it ends when that has ended
        if self._served:
            self.close()
        else:
            self._rearm(self._since + FRESH_SECONDS)

    def cancel(self) -> None:
        """Cancel the job that answers the current request; it may still answer."""
        if self.job is not None:
            self.job.cancel()
        else:
            self.close()

    # --- time --------------------------------------------------------------------------------------------------

    def _rearm(self, due: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)

    @property
    def _patience(self) -> float:
        """Seconds for which the connection may stay without a request."""
        if self._partial:
            return self._owner.limits.header_timeout
        return FRESH_SECONDS if self._owner.draining else KEEPALIVE_SECONDS

    def _tick(self) -> None:
        """Check the limits. The timer is set anew only when it fires, so that requests need not touch it."""
        now = self._loop.time()
        due = now + KEEPALIVE_SECONDS if self._current is not None else self._since + self._patience
        if now < due:
            self._timer = self._loop.call_at(due, self._tick)
        elif self._partial:
            self._owner.count_refused("header_timeout")
            self._refuse(refusal(408, "the request's head did not arrive in time", "request_timeout"))
        else:
            self.close()

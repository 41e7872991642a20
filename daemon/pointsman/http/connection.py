"""One client's connection: its requests one after another, their limits, and what is refused."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from pointsman import eager
from pointsman.errors import RequestError, TooBusy
from pointsman.http.head import malformed, may_begin, read_head
from pointsman.http.message import Request, Response, error_response, refusal
from pointsman.relay.framing import Malformed

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from pointsman.http.server import Server

# Requests that a client may send ahead before it is not read from any more.
PIPELINED = 8
# Longer than the 60 s for which vllm bench keeps a connection, so that the client closes first, not we.
KEEPALIVE_SECONDS = 75.0
# For a client that is still sending when it is refused: were the connection closed at once, its kernel would throw the
# answer away unread.
LINGER_SECONDS = 2.0
# A client that was let in before the service stops to listen may have its first request on the way: TCP sends a lost
# packet again after a second at most.
FRESH_SECONDS = 2.0


class Flow(Protocol):
    """What fills a connection, and can be told to wait."""

    def pause(self) -> None:
        """The client reads more slowly than it is written to."""

    def resume(self) -> None:
        """It has caught up."""


class Job(Protocol):
    """What answers a request, and can be told to stop."""

    def cancel(self) -> object:
        """The client left, or the service ends; in that case it may still answer."""


class Connection(asyncio.Protocol):
    """Reads requests and has them answered by the server's handler, one at a time and in order.

    `job` answers the current one; whoever takes it over puts itself there.
    """

    __slots__ = (
        "_behind",
        "_current",
        "_deaf",
        "_held",
        "_incoming",
        "_loop",
        "_partial",
        "_refusal",
        "_served",
        "_server",
        "_since",
        "_timer",
        "_waiting",
        "choked",
        "flow",
        "job",
        "transport",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = server.loop
        self._current: Request | None = None
        self.job: Job | None = None
        self._waiting: deque[Request] = deque()
        self._incoming: Request | None = None  # the one whose body is still coming
        self._refusal: Response | None = None  # what is written when those before it are answered
        self._deaf = False  # nothing more is read from this client
        self._behind = b""  # what came and is not read yet
        self._held = False  # whole requests are behind, and those before them come first
        self._partial = False  # a head has begun
        self._served = False  # a request was answered
        self._since = self._loop.time()  # when the head began, or when the connection fell idle
        self.choked = False
        self.flow: Flow | None = None

    # --- the transport's side ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        limits = self._server.limits
        self._timer = self._loop.call_later(limits.header_timeout, self._tick)
        if not self._server.opened(self):
            self._server.count_refused("connections")
            self._refuse(error_response(TooBusy("too many connections (pointsman.server.max_connections)")))

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._deaf = True
        self.flow = None
        self._server.closed(self)
        job, self.job = self.job, None
        if job is not None:
            job.cancel()
        while self._waiting:
            self._server.abandoned(self._waiting.popleft())

    def eof_received(self) -> bool:
        if self._current is not None:
            # A client that is gone and one that only has nothing more to send look the same. The first is the rule,
            # and every second of it is a GPU's.
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
        """Take the request that `data` begins with; what is behind it comes back. Raises RequestError."""
        if data.startswith(b"\r\n"):  # some clients end a body with one too many
            data = data[2:]
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            self._await_head(data)
            return b""
        self._partial = False
        head = read_head(data[:end])
        request = Request(self, head, self._server.limits.max_body_bytes)
        if b"upgrade" in head.values:
            request.keep_alive = False  # no other protocol is spoken here; what follows is not HTTP
        data = self._fed(request, data[end:])
        if self._current is None:
            self._start(request)
        else:
            self._waiting.append(request)
        return data

    def _await_head(self, data: bytes) -> None:
        """The beginning of one has come. Raises RequestError where it can be none."""
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
        self._rearm(self._since + self._server.limits.header_timeout)

    def _fed(self, request: Request, data: bytes) -> bytes:
        """More for a request's body; what is behind it comes back."""
        try:
            data = request.feed(data)
        except Malformed:
            self._server.count_refused("malformed")
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
        """The client is far ahead of its answers: what it sent has to wait, and it is not read from meanwhile."""
        self._behind = data
        self.transport.pause_reading()
        if self._current is None:
            self._loop.call_soon(self._read_on)  # all were answered at once: others have their turn first
        else:
            self._held = True

    # --- requests ----------------------------------------------------------------------------------------------

    @property
    def client_address(self) -> str:
        """The client's IP address; empty where it came through a Unix socket."""
        peer = self.transport.get_extra_info("peername")
        return peer[0] if isinstance(peer, tuple) else ""

    def _start(self, request: Request) -> None:
        self._current = request
        self.run(self._server.handler(request))

    def run(self, work: Coroutine[None, None, Response | None]) -> None:
        """Let `work` answer the current request; None from it means that it leaves that to a new `job`."""
        task = eager.run(self._answer(work), self._loop)
        if task is not None:
            self.job = task

    async def _answer(self, work: Coroutine[None, None, Response | None]) -> None:
        response = await work
        if response is not None:
            self.answer(response)

    def answer(self, response: Response) -> None:
        """Write an answer of ours to the current request, which it ends."""
        request = self._current
        if request is not None:
            request.keep_alive = self.keeps_alive(request) and not response.close
            bodiless = request.head.method == "HEAD"
            self.write(response.encode(keep_alive=request.keep_alive, old=request.head.old, bodiless=bodiless))
            self.answered(request)

    def keeps_alive(self, request: Request) -> bool:
        """Whether another request may follow on this connection once this one is answered."""
        return request.keep_alive and request.complete and not self._server.draining

    def answered(self, request: Request) -> None:
        """The current request's answer is written; the next one has its turn."""
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
        elif self._server.draining:
            self.close()
        elif self._behind and not self._held:
            self._clock_head()  # the time that the answer took is not the client's
        else:
            self._since = self._loop.time()
        if self._held and not self._waiting:
            self._held = False
            self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """After a pause for a client that sent too far ahead: what was kept back comes first."""
        if not self.transport.is_closing():
            self.transport.resume_reading()
            self.data_received(b"")

    def write(self, data: bytes) -> None:
        """Send; what comes for a client that is gone is dropped.

        Between the moment when uvloop closes a broken transport and `connection_lost`, its `write` raises.
        """
        if not self.transport.is_closing():
            self.transport.write(data)

    # --- refusals and the end ----------------------------------------------------------------------------------

    def _refuse_in_turn(self, error: RequestError) -> None:
        """Read no more, and refuse once the requests before this one are answered."""
        self._server.count_refused("malformed")
        self._deaf = True
        if self._current is None:
            self._refuse(error_response(error))
        else:
            self._refusal = error_response(error)

    def _refuse(self, response: Response) -> None:
        self.write(response.encode(keep_alive=False, old=False))
        self.close(linger=True)

    def close(self, *, linger: bool = False) -> None:
        """Send what is written and close; with `linger`, let the client read it while it is still sending."""
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
        """Close if no request has begun; to a client that connected just now the time that its first one may take."""
        if self._current is not None or self._partial or self._deaf:
            return  # it ends when that has ended
        if self._served:
            self.close()
        else:
            self._rearm(self._since + FRESH_SECONDS)

    def cancel(self) -> None:
        """End what answers the current request, which may still do so."""
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
        """Seconds for which it may stay as it is, without a request."""
        if self._partial:
            return self._server.limits.header_timeout
        return FRESH_SECONDS if self._server.draining else KEEPALIVE_SECONDS

    def _tick(self) -> None:
        """One timer for a connection, set anew only when it rings: requests come and go without touching it."""
        now = self._loop.time()
        due = now + KEEPALIVE_SECONDS if self._current is not None else self._since + self._patience
        if now < due:
            self._timer = self._loop.call_at(due, self._tick)
        elif self._partial:
            self._server.count_refused("header_timeout")
            self._refuse(refusal(408, "the request's head did not arrive in time", "request_timeout"))
        else:
            self.close()

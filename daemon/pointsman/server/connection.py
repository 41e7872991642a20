"""The connection of one client: reads its requests, has them answered in order, and enforces the limits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Protocol, cast

from pointsman import eager
from pointsman.errors import BuffersFull, HttpError, RequestError
from pointsman.http1.body import Malformed
from pointsman.http1.request_head import malformed, may_begin, read_head
from pointsman.server.byte_budget import SMALL_BYTES
from pointsman.server.departures import Departures, Watch
from pointsman.server.messages import Cancellable, Flow, Handler, Request, Response, error_response, refusal
from pointsman.server.peers import Network, Peer

# Pipelined requests that are read ahead of their answers, if they are small.
PIPELINED = 8
# A connection that has never sent a request is kept no longer than this.
SILENT_SECONDS = 10.0
# Longer than the 60 s for which vllm bench keeps a connection, so that the client closes first, not we.
KEEPALIVE_SECONDS = 75.0
# How long a refused client that is still sending may take to read the answer: closing at once would reset the
# connection, and the client's kernel would discard the answer.
LINGER_SECONDS = 2.0
# Grace period for connections just accepted when the service stops: TCP retransmits a lost first packet after a second.
FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what clients may do; timeouts are in seconds, and 0 connections of one client are no limit.

    Proxies in `trusted` networks are not limited as one client.
    """

    header_timeout: float
    send_timeout: float
    max_body_bytes: int
    max_connections: int
    max_connections_per_client: int
    trusted: tuple[Network, ...]


class ListenerLike(Protocol):
    """The listener as a connection sees it."""

    handler: Handler
    draining: bool
    departures: Departures

    @property
    def limits(self) -> Limits:
        """The limits of the current config."""

    def opened(self, connection: ClientConnection, address: str) -> HttpError | None:
        """Register a connection and set its `peer`; return why it is refused where there are too many already.

        `address` is empty for a Unix socket.
        """

    def lingers(self, connection: ClientConnection) -> bool:
        """Return whether a connection that `opened` has refused may wait until its client has read the answer."""

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
        "_choked_at",
        "_current",
        "_deaf",
        "_held",
        "_incoming",
        "_kept",
        "_loop",
        "_owner",
        "_partial",
        "_refusal",
        "_served",
        "_since",
        "_timer",
        "_waiting",
        "_watch",
        "choked",
        "flow",
        "job",
        "peer",
        "transport",
    )

    peer: Peer[ClientConnection]

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
        self._kept = 0  # how many of them count in the budget
        self._watch: Watch | None = None  # while the socket is not read from
        self._held = False  # parsing waits until pipelined requests are answered
        self._partial = False  # a head is incomplete
        self._served = False  # a request was answered
        self._since = self._loop.time()  # when the head began, or when the connection fell idle
        self.choked = False
        self._choked_at = 0.0
        self.flow: Flow | None = None

    # --- called by the event loop ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._timer = self._loop.call_later(min(SILENT_SECONDS, self._owner.limits.header_timeout), self._tick)
        name = transport.get_extra_info("peername")
        error = self._owner.opened(self, name[0] if isinstance(name, tuple) else "")
        if error is not None:
            self.write(error_response(error).encode(keep_alive=False, old=False))
            self.close(linger=self._owner.lingers(self))

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._ignore()
        self._stop_watching()
        self.flow = None
        self._owner.closed(self)
        job, self.job = self.job, None
        if job is not None:
            job.cancel()
        if self._current is not None:
            self._current.release()
        while self._waiting:
            request = self._waiting.popleft()
            request.release()
            self._owner.abandoned(request)

    def eof_received(self) -> bool:
        if self._current is not None:
            # A half-close looks the same as a client that is gone. The second is far more common, and each second of
            # a generation for nobody is GPU time.
            self.transport.abort()
        return False

    def pause_writing(self) -> None:
        self.choked = True
        self._choked_at = self._loop.time()
        self._rearm(self._choked_at + self._owner.limits.send_timeout)
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
            data = self._behind + data
            self._forget()
        if self._incoming is not None:
            data = self._fed(self._incoming, data)
        try:
            for _ in range(PIPELINED):
                if not data or self._unanswered == PIPELINED:
                    break
                rest = self._taken(data)
                if rest is None:
                    break
                data = rest
            if data:
                self._hold(data)
        except (RequestError, BuffersFull) as error:
            self._refuse_in_turn(error)

    @property
    def _unanswered(self) -> int:
        return len(self._waiting) + (self._current is not None)

    def _taken(self, data: bytes) -> bytes | None:
        """Take the request that `data` begins with and return the bytes behind it, or None if it must wait its turn.

        Raises RequestError or BuffersFull.
        """
        if data.startswith(b"\r\n"):  # some clients send an extra CRLF after a body
            data = data[2:]
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            self._await_head(data)
            return b""
        self._partial = False
        head = read_head(data[:end])
        peer, limit, reserved = self.peer, self._owner.limits.max_body_bytes, head.length
        if self._current is not None:
            reserved += end
            if head.chunked or reserved >= SMALL_BYTES or not peer.share.reserve(reserved):
                return None
            request = Request(self, head, limit, peer.share, reserved)
            data = self._fed(request, data[end:])
            self._waiting.append(request)
            return data
        (peer.idle if self._served else peer.silent).pop(self, None)
        if reserved > limit:  # nothing of it is kept
            reserved = 0
        if not reserved or peer.share.reserve(reserved):
            request = Request(self, head, limit, peer.share, reserved)
            data = self._fed(request, data[end:])
        else:
            request = Request(self, head, limit, peer.share, 0, unread=True)
            self._leave_unread(request, data[end:])
            data = b""
        self._start(request)
        return data

    def _leave_unread(self, request: Request, data: bytes) -> None:
        """Stop reading until there is room for the request's body, of which `data` came with its head."""
        try:
            self._keep(data)
        except BuffersFull as error:
            self._deaf = True
            request.broken(error)
        else:
            self._incoming = request
            self._pause_reading()

    def _keep(self, data: bytes) -> None:
        """Keep bytes that cannot be parsed yet; raises BuffersFull."""
        if not self.peer.share.keep(len(data)):
            raise BuffersFull
        self._behind, self._kept = data, len(data)

    def _forget(self) -> None:
        """Drop the bytes that were kept."""
        self.peer.share.drop(self._kept)
        self._behind, self._kept = b"", 0

    def _ignore(self) -> None:
        """Ignore whatever the client has sent and still sends."""
        self._deaf = True
        self._incoming = None
        if self._behind:
            self._forget()

    def _await_head(self, data: bytes) -> None:
        """Keep the beginning of a head; raises RequestError where it cannot become one, or BuffersFull."""
        if not data:
            return
        if not may_begin(data):
            raise malformed("its head is not well-formed HTTP/1.1, or too long")
        self._keep(data)
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
        """Keep what a client sent too far ahead of its answers, and stop reading from it; raises BuffersFull."""
        self._keep(data)
        if self._current is None:
            self.transport.pause_reading()
            self._loop.call_soon(self._read_on)  # all were answered at once: let other connections run first
        else:
            self._held = True
            self._pause_reading()

    def _pause_reading(self) -> None:
        """Stop reading until `_resume_reading`; a client that leaves meanwhile ends the connection."""
        self.transport.pause_reading()
        socket = self.transport.get_extra_info("socket")
        if socket is not None:
            self._watch = self._owner.departures.watch(socket.fileno(), self.transport.abort)

    def _resume_reading(self) -> None:
        self._stop_watching()
        self.transport.resume_reading()

    def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            self._owner.departures.forget(watch)

    # --- requests ----------------------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        """True once the client is gone, or the connection is being closed."""
        return self.transport.is_closing()

    @property
    def client_address(self) -> str:
        """The client's address; empty for a Unix socket and a trusted proxy, which are not limited by it."""
        return self.peer.name

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
        request.release()
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
        else:
            self.peer.idle[self] = None
            if self._behind and not self._held:
                self._clock_head()  # the answer's time does not count against the client
            else:
                self._since = self._loop.time()
        if self._held and not self._waiting:
            self._held = False
            self._loop.call_soon(self._read_on)

    def read_on(self) -> None:
        """Read the body of the current request, which has waited unread."""
        self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        """Resume reading, with the bytes that were kept first."""
        if not self.transport.is_closing():
            self._resume_reading()
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

    def _refuse_in_turn(self, error: HttpError) -> None:
        """Stop reading, and refuse once the requests before this one are answered."""
        self._owner.count_refused("memory" if isinstance(error, BuffersFull) else "malformed")
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
        self._ignore()
        self._stop_watching()
        if self.transport.is_closing():
            return
        if linger and self.transport.can_write_eof():
            self.transport.write_eof()
            self._timer.cancel()
            self._timer = self._loop.call_later(LINGER_SECONDS, self.transport.abort)
            self.transport.resume_reading()
        else:
            self.transport.close()
            if self.transport.get_write_buffer_size():  # it closes once the client has read that
                self._timer.cancel()
                self._timer = self._loop.call_later(self._owner.limits.send_timeout, self.transport.abort)

    def evict(self) -> None:
        """Close an idle connection at once, so that another can take its place."""
        if self.transport.get_write_buffer_size() and self._since < self._loop.time():
            self._ignore()
            self.transport.abort()  # the client does not read
        else:
            self.close()  # an answer of this turn of the event loop is not written yet

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
        if self._owner.draining:
            return FRESH_SECONDS
        return KEEPALIVE_SECONDS if self._served else SILENT_SECONDS

    def _tick(self) -> None:
        """Check the limits. The timer is set anew only when it fires, so that requests need not touch it."""
        now = self._loop.time()
        if self.transport.is_closing():  # the client has not read the rest
            self.transport.abort()
            return
        if self.choked:
            due = self._choked_at + self._owner.limits.send_timeout
        elif self._current is not None:
            due = now + KEEPALIVE_SECONDS
        else:
            due = self._since + self._patience
        if now < due:
            self._timer = self._loop.call_at(due, self._tick)
        elif self.choked:
            if self.flow is not None:
                self.flow.stalled()
            self.transport.abort()
        elif self._partial:
            self._owner.count_refused("header_timeout")
            self._refuse(refusal(408, "the request's head did not arrive in time", "request_timeout"))
        else:
            self.close()

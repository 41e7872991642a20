"""One client's connection: its requests one after another, their limits, and what is refused.

What a request is, aiohttp's parser alone decides: its strictness is what keeps a request from being smuggled. Around
it aiohttp's own server spends more on a request than the rest of the relay.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol, cast

from aiohttp.http import HttpProcessingError, HttpRequestParser

from pointsman.errors import RequestError, TooBusy
from pointsman.http.message import Request, Response, error_response, objection, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader

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
# A reader of the parser never asks for a pause: the body is taken out of it as it comes, and its size is bounded.
_NO_PAUSE = 2**30


class Flow(Protocol):
    """What fills a connection, and can be told to wait."""

    def pause(self) -> None:
        """The client reads more slowly than it is written to."""

    def resume(self) -> None:
        """It has caught up."""


class Connection(asyncio.Protocol):
    """Reads requests and has them answered by the server's handler, one at a time and in order."""

    __slots__ = (
        "_current",
        "_deaf",
        "_incoming",
        "_loop",
        "_parser",
        "_partial",
        "_refusal",
        "_served",
        "_server",
        "_since",
        "_task",
        "_timer",
        "_waiting",
        "choked",
        "flow",
        "transport",
    )

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = server.loop
        self._parser = HttpRequestParser(
            self,  # type: ignore[arg-type]  # of a protocol it only calls `pause_reading` and `resume_reading`
            self._loop,
            _NO_PAUSE,
            max_line_size=8190,
            max_field_size=8190,
            max_headers=128,
            auto_decompress=False,
            max_msg_queue_size=PIPELINED,
        )
        self._current: Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._waiting: deque[Request] = deque()
        self._incoming: Request | None = None  # the one whose body is still coming
        self._refusal: Response | None = None  # what is written when those before it are answered
        self._deaf = False  # nothing more is read from this client
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
        if self._task is not None:
            self._task.cancel()
        while self._waiting:
            self._server.abandoned(self._waiting.popleft())

    def eof_received(self) -> bool:
        if self._task is not None:
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
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._malformed(error)
            return
        incoming = self._incoming
        if incoming is not None:
            incoming.arrived()
            if incoming.complete:
                self._incoming = None
        if messages:
            self._take(messages, upgraded)
        elif incoming is None and self._current is None and data and not self._partial:
            self._partial = True
            self._since = self._loop.time()
            self._rearm(self._since + self._server.limits.header_timeout)

    def _take(self, messages: Sequence[tuple[RawRequestMessage, StreamReader]], upgraded: bool) -> None:
        """Requests whose heads are whole; only of the last may the body be still on the way."""
        self._partial = False
        for message, payload in messages:
            if (refused := objection(message)) is not None:
                self._refuse_in_turn(refused)
                return
            request = Request(self, message, payload, self._server.limits.max_body_bytes)
            if message.upgrade or upgraded or request.method == "CONNECT":
                request.keep_alive = False  # no other protocol is spoken here; what follows is not HTTP
                self._deaf = request.complete
            if not request.complete:
                self._incoming = request
            if self._current is None:
                self._start(request)
            else:
                self._waiting.append(request)
        if len(self._waiting) >= PIPELINED - 1:
            self.transport.pause_reading()

    # --- what the parser's reader of bodies asks of a protocol -------------------------------------------------

    def pause_reading(self) -> None:
        """Never: see _NO_PAUSE."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """A body is whole."""

    # --- requests ----------------------------------------------------------------------------------------------

    @property
    def client_address(self) -> str:
        """The client's IP address; empty where it came through a Unix socket."""
        peer = self.transport.get_extra_info("peername")
        return peer[0] if isinstance(peer, tuple) else ""

    def _start(self, request: Request) -> None:
        self._current = request
        self._task = self._loop.create_task(self._answer(request))

    async def _answer(self, request: Request) -> None:
        response = await self._server.handler(request)
        if response is not None:
            request.keep_alive = self.keeps_alive(request) and not response.close
            self.write(
                response.encode(keep_alive=request.keep_alive, old=request.old, bodiless=request.method == "HEAD")
            )
        self._finished(request)

    def keeps_alive(self, request: Request) -> bool:
        """Whether another request may follow on this connection once this one is answered."""
        return request.keep_alive and request.complete and not self._server.draining

    def _finished(self, request: Request) -> None:
        self._current = self._task = None
        self._served = True
        self._parser.message_consumed()
        if self.transport.is_closing():
            return
        if not request.keep_alive:
            self.close(linger=not request.complete or bool(self._waiting))
        elif self._waiting:
            self._start(self._waiting.popleft())
            if not self._waiting:
                self._read_on()
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._server.draining:
            self.close()
        else:
            self._since = self._loop.time()

    def _read_on(self) -> None:
        """After a pause for a client that sent too far ahead: what the parser kept back comes first."""
        self.transport.resume_reading()
        self.data_received(b"")

    def write(self, data: bytes) -> None:
        """Send; what comes for a client that is gone is dropped.

        Between the moment when uvloop closes a broken transport and `connection_lost`, its `write` raises.
        """
        if not self.transport.is_closing():
            self.transport.write(data)

    # --- refusals and the end ----------------------------------------------------------------------------------

    def _malformed(self, error: HttpProcessingError) -> None:
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            # Nothing of what came is repeated: it may be another's, or an attack on whoever reads it.
            kind = type(error).__name__
            self._refuse_in_turn(refusal(400, f"the request is not well-formed HTTP/1.1 ({kind})", "malformed_request"))
        else:
            self._server.count_refused("malformed")
            self._deaf = True
            incoming.broken(RequestError("the body's framing is malformed", status=400, code="malformed_request"))

    def _refuse_in_turn(self, response: Response) -> None:
        """Read no more, and refuse once the requests before this one are answered."""
        self._server.count_refused("malformed")
        self._deaf = True
        if self._current is None:
            self._refuse(response)
        else:
            self._refusal = response

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
        """End the running request's handler, which may still answer."""
        if self._task is not None:
            self._task.cancel()
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

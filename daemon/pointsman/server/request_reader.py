"""Read the requests of one client, some ahead of their answers, and store no byte that the budget does not allow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from pointsman.errors import BuffersFull, HttpError, RequestError
from pointsman.http1.body import MalformedBody
from pointsman.http1.request_head import malformed, may_begin, read_head
from pointsman.read_turns import MIN_LONG_BYTES, ReadTurns
from pointsman.server.byte_budget import SMALL_BYTES, ClientBudget
from pointsman.server.connection_timer import ConnectionTimer
from pointsman.server.disconnect_watcher import DisconnectWatcher, SocketWatch
from pointsman.server.limits import ConnectionLimits
from pointsman.server.request import Request, ResponseWriter

# Requests that are read at once, and at most ahead: the one that is being answered, and those that wait, if small.
PIPELINED = 8


class ReaderListener(Protocol):
    """The listener as a reader sees it."""

    disconnects: DisconnectWatcher
    turns: ReadTurns

    def limits(self) -> ConnectionLimits:
        """Return the limits of the current config."""

    def count_refused(self, reason: str) -> None:
        """Count a refusal."""


class ReaderConnection(ResponseWriter, Protocol):
    """The connection as its reader sees it."""

    current: Request | None
    transport: asyncio.Transport

    def begin(self, request: Request) -> None:
        """Have a request answered; only called when there is no `current` one."""

    def refuse_in_turn(self, error: HttpError) -> None:
        """Refuse the bytes after the requests so far, once these are answered."""


class RequestReader:
    """A reader of requests: the first one begins at once, and later ones wait in `ahead`."""

    __slots__ = (
        "_client_budget",
        "_connection",
        "_incoming",
        "_loop",
        "_owner",
        "_sink",
        "_timer",
        "_watch",
        "ahead",
        "deaf",
        "paused",
        "unparsed",
    )

    def __init__(
        self,
        connection: ReaderConnection,
        owner: ReaderListener,
        timer: ConnectionTimer,
        client_budget: ClientBudget,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        """Take `client_budget`, in which the bytes of requests count."""
        self._connection = connection
        self._owner = owner
        self._timer = timer
        self._client_budget = client_budget
        self._loop = loop
        self.ahead: deque[Request] = deque()
        """Requests that wait until those before them are answered."""
        self.deaf = False
        """True if the client's further bytes are ignored."""
        self.unparsed = b""
        """Bytes not parsed yet; they count in the budget."""
        self.paused = False
        """True while parsing waits until all requests are answered."""
        self._incoming: Request | None = None  # the request whose body is incomplete
        self._watch: SocketWatch | None = None  # while the socket is not read from
        self._sink: Callable[[bytes], None] | None = None  # once another protocol is, or may be, spoken

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        if self.deaf:
            self._take_turns(data)
            return
        if self.unparsed:
            data = self.unparsed + data
            self._forget()
        if self._sink is not None:
            self._take_turns(data)
            self._sink(data)
            return
        if self._incoming is not None:
            data = self._fed(self._incoming, data)
        try:
            for _ in range(PIPELINED):
                if not data or len(self.ahead) == PIPELINED - 1:
                    break
                rest = self._taken(data)
                if rest is None:
                    break
                data = rest
            if data:
                self._hold(data)
        except (RequestError, BuffersFull) as error:
            self._owner.count_refused("memory" if isinstance(error, BuffersFull) else "malformed")
            self.deaf = True
            self._connection.refuse_in_turn(error)

    def read_on(self) -> None:
        """Schedule reading in another turn of the event loop, beginning with the stored bytes."""
        self.paused = False
        self._loop.call_soon(self.resume)

    def switch(self, sink: Callable[[bytes], None]) -> None:
        """Give `sink` the client's bytes from now on, beginning with those after its request."""
        self._sink = sink
        self.resume()

    def pause(self) -> None:
        """Stop reading until `resume`; a client that leaves meanwhile ends the connection."""
        transport = self._connection.transport
        self._owner.turns.pause(transport)
        socket = transport.get_extra_info("socket")
        if socket is not None:
            self._watch = self._owner.disconnects.watch(socket.fileno(), transport.abort)

    def resume(self) -> None:
        """Resume reading at once, beginning with the stored bytes."""
        transport = self._connection.transport
        if not transport.is_closing():
            self._stop_watching()
            self._owner.turns.resume(transport)
            self.feed(b"")

    def stop(self) -> None:
        """Ignore all bytes of the client, past and future."""
        self.deaf = True
        self._sink = None
        self._incoming = None  # its body may be long, and the connection lingers
        if self.unparsed:
            self._forget()
        self._stop_watching()

    # --- requests --------------------------------------------------------------------------------------------------

    def _taken(self, data: bytes) -> bytes | None:
        """Take the request that `data` begins with and return the bytes after it, or None if it must wait its turn.

        Raises RequestError or BuffersFull.
        """
        if data.startswith(b"\r\n"):  # some clients send an extra CRLF after a body
            data = data[2:]
        end = data.find(b"\r\n\r\n") + 4
        if end == 3:
            self._await_head(data)
            return b""
        self._timer.partial = False
        head, length = read_head(data[:end])
        connection, client_budget = self._connection, self._client_budget
        limit, reserved = self._owner.limits().max_body_bytes, length
        if connection.current is not None or connection.choked:
            reserved += end
            if head.chunked or reserved >= SMALL_BYTES or not client_budget.reserve(reserved):
                return None
            request = Request(connection, head, length, limit, client_budget, reserved)
            data = self._fed(request, data[end:])
            self.ahead.append(request)
            return data
        if reserved > limit:  # none of the body is stored
            reserved = 0
        if not reserved or client_budget.reserve(reserved):
            request = Request(connection, head, length, limit, client_budget, reserved)
            data = self._fed(request, data[end:])
        else:
            request = Request(connection, head, length, limit, client_budget, 0, unread=True)
            self._leave_unread(request, data[end:])
            data = b""
        connection.begin(request)
        return data

    def _fed(self, request: Request, data: bytes) -> bytes:
        """Feed a request's body and return the bytes after it."""
        got = data
        try:
            data = request.feed(data)
        except MalformedBody:
            self._owner.count_refused("malformed")
            self.deaf = True
            request.broken(malformed("the framing of its body"))
            data = b""
        done = request.complete or self.deaf
        self._incoming = None if done else request
        if done and not request.keep_alive:
            self._await_answer(request, data)
            return b""
        if not done:
            self._take_turns(got)
        return data

    def _await_answer(self, request: Request, data: bytes) -> None:
        """Read no other request; bytes after an offer wait until it is accepted or refused. Raises BuffersFull."""
        if request.offers_websocket:
            self._keep(data)
            self._sink = self._keep  # none of it is ever parsed
            self.pause()
        else:
            self.deaf = True

    def _take_turns(self, data: bytes) -> None:
        """Let others be read before more is read of fast bytes: a body, a tunnel, ignored ones."""
        if len(data) >= MIN_LONG_BYTES:
            self._owner.turns.took(self._connection.transport, len(data))

    def _leave_unread(self, request: Request, data: bytes) -> None:
        """Stop reading until there is room for the request's body, of which `data` came with its head."""
        try:
            self._keep(data)
        except BuffersFull as error:
            self.deaf = True
            request.broken(error)
        else:
            self._incoming = request
            self.pause()

    # --- bytes that are not parsed yet -----------------------------------------------------------------------------

    def _await_head(self, data: bytes) -> None:
        """Store the beginning of a head; raises RequestError if the head cannot become valid, or BuffersFull."""
        if not data:
            return
        if not may_begin(data):
            raise malformed("its head is not well-formed HTTP/1.1, or too long")
        self._keep(data)
        if self._connection.current is None and not self._timer.partial:
            self._timer.head_began()

    def _hold(self, data: bytes) -> None:
        """Store bytes that are too far ahead of their answers, and stop reading; raises BuffersFull."""
        self._keep(data)
        if self._connection.current is None and not self._connection.choked:
            self._connection.transport.pause_reading()
            self._loop.call_soon(self.resume)  # all were answered at once: let other connections run first
        else:
            self.paused = True
            self.pause()

    def _keep(self, data: bytes) -> None:
        """Store bytes that cannot be parsed yet; raises BuffersFull."""
        if not self._client_budget.keep(len(data)):
            raise BuffersFull
        self.unparsed = data

    def _forget(self) -> None:
        """Drop the stored bytes."""
        self._client_budget.drop(len(self.unparsed))
        self.unparsed = b""

    def _stop_watching(self) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            self._owner.disconnects.forget(watch)

"""The connection of one client: has its requests answered in order, and ends with them or with the client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Protocol, cast

from pointsman import eager
from pointsman.errors import HttpError
from pointsman.http1.request_head import RequestHead
from pointsman.server import connection_timer, request_reader
from pointsman.server.client import Client, TrustedProxies
from pointsman.server.connection_timer import ConnectionTimer
from pointsman.server.job import Cancellable, PausableSource
from pointsman.server.peers import Peer
from pointsman.server.request import Handler, Request
from pointsman.server.request_reader import RequestReader
from pointsman.server.response import Response, error_response, refusal


class ConnectionListener(request_reader.ReaderListener, connection_timer.TimerListener, Protocol):
    """The listener as a connection sees it."""

    handler: Handler

    def opened(self, connection: ClientConnection, client: Client) -> HttpError | None:
        """Register a connection and set its `peer`; return why the connection is refused if there are too many."""

    def lingers(self, connection: ClientConnection) -> bool:
        """Return whether a refused connection may wait until its client has read the answer."""

    def closed(self, connection: ClientConnection) -> None:
        """Remove a connection."""

    def flush_soon(self, connection: ClientConnection) -> None:
        """Schedule a connection to flush at the end of this turn of the event loop."""

    def abandoned(self, request: Request) -> None:
        """Record a pipelined request whose client left before its turn."""


class ClientConnection(asyncio.Protocol):
    """The connection of a client, whose requests the owner's handler answers one at a time and in order.

    This is the `ResponseWriter` of the current request.
    """

    __slots__ = (
        "_client",
        "_loop",
        "_owner",
        "_proxies",
        "_reader",
        "_refusal",
        "_timer",
        "_unfit",
        "_unsent",
        "beneath",
        "choked",
        "current",
        "flow",
        "job",
        "peer",
        "served",
        "transport",
    )

    # Set once the connection is made.
    transport: asyncio.Transport
    peer: Peer[ClientConnection]
    _client: Client
    _proxies: TrustedProxies | None  # if the peer is one of them
    _reader: RequestReader
    _timer: ConnectionTimer

    def __init__(self, owner: ConnectionListener, unfit: HttpError | None = None) -> None:
        """Take `unfit`, if any, as the answer to every request."""
        self._owner = owner
        self._unfit = unfit
        self._loop = asyncio.get_running_loop()
        self.current: Request | None = None
        self.job: Cancellable | None = None
        self.beneath: asyncio.Transport | None = None
        """The TCP transport beneath TLS."""
        self.served = False
        """True once a request was answered."""
        self._unsent = b""  # until the end of this turn of the event loop
        self._refusal: Response | None = None  # sent once the requests before it are answered
        self.choked = False
        self.flow: PausableSource | None = None

    # --- called by the event loop ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        address = name[0] if isinstance(name, tuple) else ""
        proxies = self._owner.limits().proxies
        self._client = proxies.directly(address)
        self._proxies = proxies if proxies.trusts(address) else None
        error = self._owner.opened(self, self._client) or self._unfit
        self._timer = ConnectionTimer(self, self._owner, self._loop)
        self._reader = RequestReader(self, self._owner, self._timer, self.peer.client_budget, self._loop)
        if error is not None:
            self.write(error_response(error).encode(keep_alive=False, http_1_0=False))
            self.close(linger=self._owner.lingers(self))

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._reader.stop()
        self.flow = None
        self._owner.closed(self)
        job, self.job = self.job, None
        if job is not None:
            job.cancel()
        if self.current is not None:
            self.current.release()
        self._abandon()

    def eof_received(self) -> bool:
        if self.current is not None:
            # A half-close looks the same as a client that is gone. The latter is far more common, and each second of a
            # generation for nobody is GPU time.
            self.transport.abort()
        self.flush()
        return False

    def pause_writing(self) -> None:
        self.choked = True
        self._timer.choked()
        if self.flow is not None:
            self.flow.pause()

    def resume_writing(self) -> None:
        self.choked = False
        if self.flow is not None:
            self.flow.resume()
        elif self.current is None:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)

    # --- requests ----------------------------------------------------------------------------------------------

    @property
    def closing(self) -> bool:
        return self.transport.is_closing()

    @property
    def proxied(self) -> bool:
        return self._proxies is not None

    def client(self, head: RequestHead) -> Client:
        proxies = self._proxies
        return self._client if proxies is None else proxies.client(self._client, head.values.get(b"x-forwarded-for"))

    def begin(self, request: Request) -> None:
        (self.peer.idle if self.served else self.peer.silent).pop(self, None)
        self.current = request
        self.run(self._owner.handler(request))

    def run(self, work: Coroutine[None, None, Response | None]) -> None:
        """Let `work` answer the current request; None from it leaves the request to the `job` it has installed."""
        task = eager.run(self._answer(work), self._loop)
        if task is not None:
            self.job = task

    async def _answer(self, work: Coroutine[None, None, Response | None]) -> None:
        try:
            response = await work
        except Exception as error:  # noqa: BLE001 - whatever failed, the client must not wait for ever
            self._loop.call_exception_handler({"message": "a request failed", "exception": error})
            response = error_response(HttpError("internal error; see the service's log"))
        if response is not None:
            self.answer(response)

    def answer(self, response: Response) -> None:
        """Write a complete answer to the current request, which ends the request."""
        request = self.current
        if request is not None:
            request.keep_alive = self.keeps_alive(request)
            bodiless = request.head.method == "HEAD"
            response.lines += request.lines
            self.write(
                response.encode(keep_alive=request.keep_alive, http_1_0=request.head.http_1_0, bodiless=bodiless)
            )
            self.end_request(request)

    def keeps_alive(self, request: Request) -> bool:
        """Return whether another request may follow on this connection."""
        return request.keep_alive and request.complete and not self._owner.draining

    def end_request(self, request: Request) -> None:
        """End the current request, whose answer is written, and begin the next one."""
        request.release()
        self.current = self.job = None
        self.served = True
        if self.transport.is_closing():
            return
        reader = self._reader
        if not request.keep_alive:
            linger = not request.complete or bool(reader.ahead) or request.offers_websocket
            if linger:
                self.peer.silent[self] = None  # no other request will come: close this first for another
            self.close(linger=linger)
        elif reader.ahead:
            self._go_on()
        elif self._refusal is not None:
            self._refuse(self._refusal)
        elif self._owner.draining:
            self.close()
        else:
            self.peer.idle[self] = None
            if reader.unparsed and not reader.paused:
                self._timer.head_began()  # the answer's time does not count against the client
            else:
                self._timer.since = self._loop.time()
            if reader.paused:
                reader.read_on()

    def _go_on(self) -> None:
        """Begin the next request, if the client reads: many small answers, each written at once, add up."""
        reader = self._reader
        if reader.ahead and not self.choked:
            self.begin(reader.ahead.popleft())
        if reader.paused and not reader.ahead:
            reader.read_on()

    def read_on(self) -> None:
        """Read the body of the current request, which has waited unread."""
        self._reader.read_on()

    def switch(self, sink: Callable[[bytes], None]) -> None:
        self._reader.switch(sink)

    def pause_reading(self) -> None:
        self._reader.pause()

    def resume_reading(self) -> None:
        self._reader.resume()

    def write(self, data: bytes) -> None:
        """Send; drop bytes for a client that is gone.

        After uvloop has closed a broken transport, and until `connection_lost`, its `write` raises.
        """
        if self._unsent:
            data, self._unsent = self._unsent + data, b""
        if not self.transport.is_closing():
            self.transport.write(data)

    def write_soon(self, data: bytes) -> None:
        """Send as `write` does, at the end of this turn of the event loop, or before the next write.

        Written one by one among other work, each answer would wake its client, or the proxy before us, from its sleep.
        """
        if not self._unsent:
            self._owner.flush_soon(self)
        self._unsent += data

    def flush(self) -> None:
        """Send the bytes from `write_soon`."""
        if self._unsent:
            self.write(b"")

    # --- refusals and the end ----------------------------------------------------------------------------------

    def refuse_in_turn(self, error: HttpError) -> None:
        if self.current is None and not self._reader.ahead:
            self._refuse(error_response(error))
        else:
            self._refusal = error_response(error)

    def _refuse(self, response: Response) -> None:
        self.write(response.encode(keep_alive=False, http_1_0=False))
        self.close(linger=True)

    def head_late(self) -> None:
        """Refuse a request whose head did not arrive in time."""
        self._owner.count_refused("header_timeout")
        self._refuse(refusal(408, "the request's head did not arrive in time", "request_timeout"))

    def stalled(self) -> None:
        """Close the connection of a client that does not read."""
        if self.flow is not None:
            self.flow.stalled()
        self.transport.abort()

    def abort(self) -> None:
        """Close at once."""
        self.transport.abort()

    def close(self, *, linger: bool = False) -> None:
        """Flush and close; with `linger`, give a client that is still sending time to read the answer."""
        self._reader.stop()
        self._abandon()
        self.flush()
        if not self.transport.is_closing():
            self._timer.end(linger=linger)

    def _abandon(self) -> None:
        """Drop the requests that wait for their turn."""
        ahead = self._reader.ahead
        while ahead:
            request = ahead.popleft()
            request.release()
            self._owner.abandoned(request)

    def evict(self) -> None:
        """Close an idle connection at once, so that another can take its place."""
        if self.transport.is_closing() or (
            self.transport.get_write_buffer_size() and self._timer.since < self._loop.time()
        ):
            self._reader.stop()
            self.transport.abort()  # the client does not read
        else:
            self.close()  # an answer of this turn of the event loop is not written yet

    def drain(self) -> None:
        """Close if no request has begun; a connection just accepted gets a grace period for its first request."""
        if self.current is not None or self._reader.ahead or self._timer.partial or self._reader.deaf:
            return  # it ends when that has ended
        if self.served:
            self.close()
        else:
            self._timer.draining()

    def cancel(self) -> None:
        """Cancel the job that answers the current request; it may still answer."""
        if self.job is not None:
            self.job.cancel()
        else:
            self.close()

"""Listening sockets, the connections accepted from them, and graceful shutdown."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable

from pointsman.config.address import Tcp
from pointsman.config.address import listen as parse_address
from pointsman.errors import CannotStart, ConcurrencyLimited, HttpError, TlsRequired, TooBusy
from pointsman.read_turns import read_turns
from pointsman.server.byte_budget import ByteBudget
from pointsman.server.client import Client
from pointsman.server.connection import ClientConnection
from pointsman.server.connection_timer import FRESH_SECONDS
from pointsman.server.disconnect_watcher import DisconnectWatcher
from pointsman.server.handshake import Handshake
from pointsman.server.limits import ConnectionLimits
from pointsman.server.peers import Peers
from pointsman.server.request import Handler, Request
from pointsman.server.unix_socket import EVERYONE_OF_THE_GROUP, SocketAccess, bound

BACKLOG = 2048
# uvloop accepts one connection of a listening socket in a turn of the event loop, so that in a flood of connections
# every new client waits. Each further handle of the same socket accepts one more. Four cost a connection 8 us of 140,
# eight 25 us; in a flood, p99 of honest requests is 15 ms with one, 11 ms with four and 9 ms with eight.
ACCEPTED_A_TURN = 4
# However many connections are open, new ones must be able to negotiate TLS.
MIN_HANDSHAKES = 16
# Refused connections that stay open for a moment, until their clients have read why. Beyond them one is closed at once.
LINGERING = 32


class Listener:
    """Listening sockets, whose requests go to `handler`; while `draining`, no connection is kept alive."""

    def __init__(
        self,
        handler: Handler,
        limits: Callable[[], ConnectionLimits],
        count_refused: Callable[[str], None],
        abandoned: Callable[[Request], None],
        budget: ByteBudget,
        tls: Callable[[], ssl.SSLContext | None] = lambda: None,
    ) -> None:
        """Take `limits`, which returns the current ones, and `abandoned`, called for each request that is dropped.

        `budget` bounds the bytes of requests in memory. `tls` returns the TLS context for TCP, or None.
        """
        self.handler = handler
        self.limits = limits
        self.count_refused = count_refused
        self.abandoned = abandoned
        self.draining = False
        self.loop = asyncio.get_running_loop()
        self.disconnects = DisconnectWatcher(self.loop)
        self.turns = read_turns()
        self.connections: set[ClientConnection] = set()
        self.evicted = 0
        """The number of idle connections that were closed to make room for others."""
        self._tls = tls
        self._handshakes: dict[Handshake, None] = {}  # oldest first
        self._refused: set[ClientConnection] = set()
        self._unflushed: list[ClientConnection] = []
        self._peers: Peers[ClientConnection] = Peers(budget)
        self._listeners: list[asyncio.Server] = []
        self._idle: asyncio.Event = asyncio.Event()

    async def listen(self, address: str, access: SocketAccess = EVERYONE_OF_THE_GROUP) -> None:
        """Listen at `host:port`, or at `unix:/path` with the permissions `access`; raises CannotStart."""
        where = parse_address(address)
        try:
            if isinstance(where, Tcp):
                listener = await self.loop.create_server(self._over_tcp, where.host, where.port, backlog=BACKLOG)
            else:
                listener = await self._listen(bound(where.path, access))
        except OSError as error:
            raise CannotStart(
                f"cannot listen at {address} ({error.strerror or error}); "
                "change pointsman.server.listen, admin_listen or status_listen, or stop what listens there"
            ) from error
        await self._accept(listener)

    async def adopt(self, listener: socket.socket) -> None:
        """Accept from a socket that is already listening."""
        await self._accept(await self._listen(listener))

    async def _accept(self, first: asyncio.Server) -> None:
        """Accept several connections in a turn of the event loop from each socket of `first`."""
        self._listeners.append(first)
        for listening in first.sockets:
            for _ in range(ACCEPTED_A_TURN - 1):
                again = socket.socket(fileno=os.dup(listening.fileno()))
                self._listeners.append(await self._listen(again))

    async def _listen(self, listener: socket.socket) -> asyncio.Server:
        unix = listener.family == socket.AF_UNIX
        if unix:
            return await self.loop.create_unix_server(self._connection, sock=listener, backlog=BACKLOG)
        return await self.loop.create_server(self._over_tcp, sock=listener, backlog=BACKLOG)

    def _connection(self) -> ClientConnection:
        return ClientConnection(self)

    def _over_tcp(self) -> ClientConnection | Handshake:
        context = self._tls()
        return ClientConnection(self) if context is None else Handshake(self, context)

    def negotiating(self, handshake: Handshake) -> None:
        """Register a handshake; if there are too many, end the oldest, which had the most time."""
        self._handshakes[handshake] = None
        room = max(MIN_HANDSHAKES, self.limits().max_connections - len(self.connections))
        if len(self._handshakes) > room:
            oldest = next(iter(self._handshakes))
            del self._handshakes[oldest]
            oldest.abort()

    def negotiated(self, handshake: Handshake) -> ClientConnection:
        self._handshakes.pop(handshake, None)
        return ClientConnection(self)

    def in_plain(self, handshake: Handshake) -> ClientConnection:
        self.count_refused("tls")
        self._handshakes.pop(handshake, None)
        return ClientConnection(self, TlsRequired())

    def not_negotiated(self, handshake: Handshake) -> None:
        self.count_refused("tls")
        self._handshakes.pop(handshake, None)
        self._check_idle()

    def opened(self, connection: ClientConnection, client: Client) -> HttpError | None:
        """Register a connection and set its `peer`; return why the connection is refused if there are too many.

        If all are in use, an idle connection of the client that has most is closed for the new one.
        """
        limits = self.limits()
        connection.peer = peer = self._peers.opened(client)
        self.connections.add(connection)
        error: HttpError | None = None
        max_of_client = limits.max_connections_per_client
        if max_of_client and peer.connections > max_of_client and not peer.exempt:
            self.count_refused("client_connections")
            error = ConcurrencyLimited(
                "too many connections of one client (pointsman.server.max_connections_per_client)"
            )
        elif len(self.connections) > limits.max_connections and not self._make_room():
            self.count_refused("connections")
            error = TooBusy("too many connections (pointsman.server.max_connections)")
        if error is None:
            peer.silent[connection] = None
        else:
            self.closed(connection)
        return error

    def _make_room(self) -> bool:
        """Close an idle connection; return False if there is none."""
        victim = self._peers.victim()
        if victim is None:
            return False
        self.evicted += 1
        self.closed(victim)
        victim.evict()
        return True

    def lingers(self, connection: ClientConnection) -> bool:
        room = len(self._refused) < LINGERING
        if room:
            self._refused.add(connection)
        return room

    def closed(self, connection: ClientConnection) -> None:
        self._refused.discard(connection)
        if connection in self.connections:
            self.connections.remove(connection)
            self._peers.closed(connection.peer, connection)
        self._check_idle()

    def _check_idle(self) -> None:
        if self.draining and not self.connections and not self._handshakes:
            self._idle.set()

    def flush_soon(self, connection: ClientConnection) -> None:
        if not self._unflushed:
            self.loop.call_soon(self._flush)
        self._unflushed.append(connection)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for connection in unflushed:
            connection.flush()

    async def drain(self, seconds: float, interrupt: asyncio.Event) -> None:
        """Stop listening, wait up to `seconds` or until `interrupt` for requests to end, then cancel them.

        Connections just accepted get a grace period: their first request may be on its way.
        """
        self.draining = True
        try:
            await self._drain(seconds, interrupt)
        finally:
            self.disconnects.close()

    async def _drain(self, seconds: float, interrupt: asyncio.Event) -> None:
        for listener in self._listeners:
            listener.close()
        await asyncio.sleep(0)  # connections accepted in this loop iteration are registered in the next
        for connection in list(self._refused):
            connection.abort()
        for handshake in list(self._handshakes):
            self.loop.call_later(FRESH_SECONDS, handshake.abort)
        for connection in list(self.connections):
            connection.drain()
        await self._emptied(seconds, interrupt)
        for connection in list(self.connections):
            connection.cancel()
        await self._emptied(0.5, asyncio.Event())  # for the last bytes to each client
        for connection in list(self.connections):
            connection.abort()
        await self._emptied(0.5, asyncio.Event())

    async def _emptied(self, seconds: float, interrupt: asyncio.Event) -> None:
        """Wait until no connection is left, up to `seconds` or until `interrupt`."""
        if not self.connections and not self._handshakes:
            return
        waits = [asyncio.ensure_future(event.wait()) for event in (self._idle, interrupt)]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

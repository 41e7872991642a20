"""Negotiate TLS on an accepted connection, and hand over the connection then; refuse a client that speaks no TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, Protocol, cast

from pointsman.server.connection import ClientConnection
from pointsman.server.connection_timer import SILENT_SECONDS
from pointsman.server.limits import ConnectionLimits

# As for a connection without TLS; uvloop's default for TLS is 512 KiB.
HIGH_WATER_BYTES = 64 * 1024


class HandshakeListener(Protocol):
    """The listener as a handshake sees it."""

    draining: bool
    loop: asyncio.AbstractEventLoop

    def limits(self) -> ConnectionLimits:
        """Return the limits of the current config."""

    def negotiating(self, handshake: Handshake) -> None:
        """Register a handshake."""

    def negotiated(self, handshake: Handshake) -> ClientConnection:
        """Remove a completed handshake, and return the connection that follows."""

    def in_plain(self, handshake: Handshake) -> ClientConnection:
        """Remove a handshake that never began, and return the connection that reports this."""

    def not_negotiated(self, handshake: Handshake) -> None:
        """Remove a failed handshake."""


class Handshake(asyncio.Protocol):
    """The protocol of a connection until TLS is negotiated."""

    _beneath: asyncio.Transport
    _end: asyncio.TimerHandle
    _steps: Coroutine[Any, Any, asyncio.Transport | None]

    def __init__(self, owner: HandshakeListener, context: ssl.SSLContext) -> None:
        self._owner = owner
        self._context = context
        self._early: list[bytes] = []
        self._begun = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first byte, which tells TLS from a request without it."""
        self._beneath = cast("asyncio.Transport", transport)
        self._owner.negotiating(self)
        seconds = min(SILENT_SECONDS, self._owner.limits().header_timeout)
        self._end = self._owner.loop.call_later(seconds, self._beneath.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._begun:
            self._end.cancel()
            self._owner.not_negotiated(self)

    def data_received(self, data: bytes) -> None:
        if self._begun:
            self._early.append(data)  # arrived with the end of the handshake
        elif data[:1].isalpha():  # no TLS record begins with a letter, and each method does
            self._refuse()
        else:
            self._begin(data)

    def _begin(self, data: bytes) -> None:
        """Begin at once and not in a task, since the TLS protocol must be installed before the next bytes."""
        self._begun = True
        self._steps = self._owner.loop.start_tls(
            self._beneath,
            self,
            self._context,
            server_side=True,
            ssl_shutdown_timeout=self._owner.limits().send_timeout,
        )
        self._steps.send(None).add_done_callback(self._ended)
        self._owner.loop.call_soon(self._feed, data)  # after its `connection_made`

    def _feed(self, data: bytes) -> None:
        """Give the TLS protocol the bytes that were read before it was installed."""
        if not self._beneath.is_closing():
            tls = cast("asyncio.BufferedProtocol", self._beneath.get_protocol())
            memoryview(tls.get_buffer(len(data)))[: len(data)] = data
            tls.buffer_updated(len(data))

    def _refuse(self) -> None:
        self._end.cancel()
        connection = self._owner.in_plain(self)
        self._beneath.set_protocol(connection)
        connection.connection_made(self._beneath)

    def abort(self) -> None:
        """Close the connection at once."""
        self._beneath.abort()

    def _ended(self, _: asyncio.Future[None]) -> None:
        self._end.cancel()
        transport: asyncio.Transport | None = None
        try:
            self._steps.send(None)
        except StopIteration as end:
            transport = end.value
        except OSError:  # includes SSLError
            self._beneath.abort()
        if transport is None or transport.is_closing():
            self._owner.not_negotiated(self)
        else:
            self._hand_over(transport)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        connection = self._owner.negotiated(self)
        transport.set_write_buffer_limits(HIGH_WATER_BYTES)
        transport.set_protocol(connection)
        connection.beneath = self._beneath
        connection.connection_made(transport)
        for data in self._early:
            connection.data_received(data)
        if self._owner.draining:
            connection.drain()

"""Negotiate TLS on an accepted connection, and hand it over once that is done."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Coroutine
from typing import Any, Protocol, cast

from pointsman.server.connection import ClientConnection
from pointsman.server.connection_timer import SILENT_SECONDS
from pointsman.server.limits import Limits

# As for a connection without TLS; uvloop's default for TLS is 512 KiB.
HIGH_WATER_BYTES = 64 * 1024


class Owner(Protocol):
    """The listener as a handshake sees it."""

    draining: bool
    loop: asyncio.AbstractEventLoop

    def limits(self) -> Limits:
        """The limits of the current config."""

    def negotiating(self, handshake: Handshake) -> None:
        """Register a handshake."""

    def negotiated(self, handshake: Handshake) -> ClientConnection:
        """Forget a handshake that is done, and return the connection that follows."""

    def not_negotiated(self, handshake: Handshake) -> None:
        """Forget a handshake that failed."""


class Handshake(asyncio.Protocol):
    """The protocol of a connection until TLS is negotiated."""

    _beneath: asyncio.Transport
    _steps: Coroutine[Any, Any, asyncio.Transport | None]

    def __init__(self, owner: Owner, context: ssl.SSLContext) -> None:
        self._owner = owner
        self._context = context
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin at once and not in a task, since the first bytes must find the protocol of TLS in place."""
        self._beneath = cast("asyncio.Transport", transport)
        self._owner.negotiating(self)
        limits = self._owner.limits()
        self._steps = self._owner.loop.start_tls(
            self._beneath,
            self,
            self._context,
            server_side=True,
            ssl_handshake_timeout=min(SILENT_SECONDS, limits.header_timeout),
            ssl_shutdown_timeout=limits.send_timeout,
        )
        self._steps.send(None).add_done_callback(self._ended)

    def data_received(self, data: bytes) -> None:
        self._early.append(data)  # it came with the end of the handshake

    def abort(self) -> None:
        """Close the connection at once."""
        self._beneath.abort()

    def _ended(self, _: asyncio.Future[None]) -> None:
        transport: asyncio.Transport | None = None
        try:
            self._steps.send(None)
        except StopIteration as end:
            transport = end.value
        except OSError:  # which SSLError is as well
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

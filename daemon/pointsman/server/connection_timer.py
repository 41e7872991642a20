"""Limit the time that a client may take: for a head, for its bytes, between requests, and at the end."""

from __future__ import annotations

import asyncio
from typing import Protocol

from pointsman.server.limits import ConnectionLimits

# Limit for a connection that has never sent a request.
SILENT_SECONDS = 10.0
# Longer than the 60 s for which vllm bench keeps a connection open, so that the client closes first, not we.
KEEPALIVE_SECONDS = 75.0
# Grace period for connections just accepted when the service stops: TCP retransmits a lost first packet after a second.
FRESH_SECONDS = 2.0
# Time for a refused client that is still sending to read the answer: closing at once would reset the connection, and
# the client's kernel would discard the answer.
LINGER_SECONDS = 2.0


class TimerListener(Protocol):
    """The listener as the timer of a connection sees it."""

    draining: bool

    def limits(self) -> ConnectionLimits:
        """Return the limits of the current config."""


class TimedConnection(Protocol):
    """The connection as its timer sees it."""

    beneath: asyncio.Transport | None
    choked: bool
    served: bool
    transport: asyncio.Transport

    @property
    def current(self) -> object | None:
        """The request that is being answered."""

    def stalled(self) -> None:
        """End: the client does not read."""

    def head_late(self) -> None:
        """End: a head did not arrive in time."""

    def close(self) -> None:
        """End: no request came."""


class ConnectionTimer:
    """A timer that ends a connection whose time is over; armed anew when it fires, not by each request."""

    __slots__ = ("_choked_at", "_connection", "_loop", "_owner", "_timer", "partial", "since")

    def __init__(self, connection: TimedConnection, owner: TimerListener, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._owner = owner
        self._loop = loop
        self.since = loop.time()
        """The time at which the head began, or the connection became idle."""
        self.partial = False
        """True while a head is incomplete."""
        self._choked_at = 0.0
        self._timer = loop.call_later(min(SILENT_SECONDS, owner.limits().header_timeout), self._tick)

    def head_began(self) -> None:
        """Limit the time for the remaining head."""
        self.partial = True
        self.since = self._loop.time()
        self._rearm(self.since + self._owner.limits().header_timeout)

    def choked(self) -> None:
        """Limit the time in which the client must read."""
        self._choked_at = self._loop.time()
        self._rearm(self._choked_at + self._owner.limits().send_timeout)

    def draining(self) -> None:
        """Limit the time for the first request, as the service stops."""
        self._rearm(self.since + FRESH_SECONDS)

    def end(self, *, linger: bool) -> None:
        """Flush and close, and limit the time for the client to read the remaining bytes.

        With `linger`, a client that is still sending may read them before the connection is closed.
        """
        transport, beneath = self._connection.transport, self._connection.beneath
        seconds = LINGER_SECONDS if linger else self._owner.limits().send_timeout
        if beneath is not None:
            transport.close()  # the client's bytes are read and dropped until it ends TLS as well
            if not linger and not transport.get_write_buffer_size():
                beneath.close()
        elif linger and transport.can_write_eof():
            transport.write_eof()
            transport.resume_reading()
        else:
            transport.close()  # closes once the client has read the remaining bytes
        self._timer.cancel()
        self._timer = self._loop.call_later(seconds, transport.abort)

    def cancel(self) -> None:
        """Stop limiting."""
        self._timer.cancel()

    def _rearm(self, due: float) -> None:
        self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)

    @property
    def _patience(self) -> float:
        """The seconds for which the connection may stay without a request."""
        if self.partial:
            return self._owner.limits().header_timeout
        if self._owner.draining:
            return FRESH_SECONDS
        return KEEPALIVE_SECONDS if self._connection.served else SILENT_SECONDS

    def _tick(self) -> None:
        connection, now = self._connection, self._loop.time()
        if connection.transport.is_closing():  # the client has not read everything
            connection.transport.abort()
            return
        if connection.choked:
            due = self._choked_at + self._owner.limits().send_timeout
        elif connection.current is not None:
            due = now + KEEPALIVE_SECONDS
        else:
            due = self.since + self._patience
        if now < due:
            self._timer = self._loop.call_at(due, self._tick)
        elif connection.choked:
            connection.stalled()
        elif self.partial:
            connection.head_late()
        else:
            connection.close()

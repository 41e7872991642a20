"""Let the connections that bring long bodies be read from in turn."""

from __future__ import annotations

import asyncio
from collections import deque

# One read brings at most 256 KiB. A connection whose client sends as fast as it can would be read from up to 32 times
# in one turn of the event loop, and each of many connections so.
LONG_READ_BYTES = 65_536


class ReadTurns:
    """In each turn of the event loop, one more of the connections that wait is read from, once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[asyncio.Transport] = deque()

    def wait(self, transport: asyncio.Transport) -> None:
        """Stop reading from a connection until it has its turn; it must not wait already."""
        transport.pause_reading()
        if not self._waiting:
            self._loop.call_soon(self._next)
        self._waiting.append(transport)

    def _next(self) -> None:
        transport = self._waiting.popleft()
        if self._waiting:
            self._loop.call_soon(self._next)
        if not transport.is_closing():
            transport.resume_reading()

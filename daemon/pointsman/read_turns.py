"""Read the connections with much data in turn, those of clients and of vLLM alike."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from weakref import WeakKeyDictionary

# uvloop reads up to 256,000 bytes at once, and up to 32 times in one turn of the event loop from each of many
# connections. Once this much has come, in one turn or several, further connections wait for the next. Each that has not
# waited yet may read once beyond it.
MAX_TURN_BYTES = 256_000
# A shorter read does not count: an event of a stream, which costs little, is neither delayed nor charged.
MIN_LONG_BYTES = 16_384


class ReadTurns:
    """Connections that wait, after MAX_TURN_BYTES, for a later turn of the event loop; one is read in each."""

    def __init__(self) -> None:
        self._left = MAX_TURN_BYTES
        self._waiting: OrderedDict[asyncio.Transport, None] = OrderedDict()
        self._planned = False  # the next turn is

    def took(self, transport: asyncio.Transport, size: int, *, more: bool = True) -> None:
        """Count a long read of a connection; if it is one too many, the connection waits, unless it was the last."""
        self._left -= size
        if self._left <= 0 and more:
            transport.pause_reading()
            self.resume(transport)

    def pause(self, transport: asyncio.Transport) -> None:
        """Stop reading from a connection until `resume`."""
        self._waiting.pop(transport, None)
        transport.pause_reading()

    def resume(self, transport: asyncio.Transport) -> None:
        """Resume reading from a connection at its turn: many with much data may resume at once."""
        self._waiting[transport] = None
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._left = MAX_TURN_BYTES
        self._planned = len(self._waiting) > 1
        if self._planned:
            asyncio.get_running_loop().call_soon(self._turn)
        if self._waiting:
            transport, _ = self._waiting.popitem(last=False)
            if not transport.is_closing():
                transport.resume_reading()


_BY_LOOP: WeakKeyDictionary[asyncio.AbstractEventLoop, ReadTurns] = WeakKeyDictionary()


def read_turns() -> ReadTurns:
    """Return the queue of the running event loop, which all of its connections share."""
    return _BY_LOOP.setdefault(asyncio.get_running_loop(), ReadTurns())

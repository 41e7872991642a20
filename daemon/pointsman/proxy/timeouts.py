"""The time limits of all answers that are on their way, looked after by one clock.

A timer for each request would cost more than the rest of its bookkeeping.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pointsman.config.model import RelayOptions
    from pointsman.proxy.response_stream import Passage

# A limit is kept to within this share of itself, between these seconds.
_SHARE, _FINEST, _COARSEST = 1 / 8, 0.01, 0.25


class Watch:
    """Checks every passage that was added and not discarded."""

    def __init__(self, options: RelayOptions, gap: Callable[[float], object]) -> None:
        """`gap` hears of the seconds between what comes of a stream."""
        self.gap = gap
        self.loop = asyncio.get_running_loop()
        milliseconds = (options.first_byte_timeout_ms, options.idle_timeout_ms, options.total_timeout_ms)
        self._limits = tuple(limit / 1000 if limit else inf for limit in milliseconds)
        self._interval = min(_COARSEST, max(_FINEST, min(self._limits) * _SHARE))
        self._passages: set[Passage] = set()
        self.add = self._passages.add
        self.discard = self._passages.discard

    async def run(self) -> None:
        """Check until cancelled."""
        first_byte, idle, total = self._limits
        while True:
            await asyncio.sleep(self._interval)
            now = self.loop.time()
            for passage in list(self._passages):
                passage.check(now, first_byte, idle, total)

"""Enforce the time limits of all responses in progress with one timer.

A timer for each request would cost more than the rest of its bookkeeping.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from math import inf
from typing import Protocol

from pointsman.config.model import RelayOptions

# A limit is checked to within this share of itself, between these seconds.
_SHARE, _FINEST, _COARSEST = 1 / 8, 0.01, 0.25


class TimeLimitedResponse(Protocol):
    """An answer with time limits."""

    def check(self, now: float, first_byte: float, idle: float, total: float) -> None:
        """End if a limit has passed; `now` is the event loop's time, limits are in seconds, `inf` is no limit."""


class Timeouts:
    """The time limits of every answer that was added and not discarded."""

    def __init__(self, options: RelayOptions, gap: Callable[[float], object]) -> None:
        """Take `gap`, called with the seconds between two parts of a stream."""
        self.gap = gap
        self.loop = asyncio.get_running_loop()
        milliseconds = (options.first_byte_timeout_ms, options.idle_timeout_ms, options.total_timeout_ms)
        self._limits = tuple(limit / 1000 if limit else inf for limit in milliseconds)
        self._interval = min(_COARSEST, max(_FINEST, min(self._limits) * _SHARE))
        self._answers: set[TimeLimitedResponse] = set()
        self.all: Collection[TimeLimitedResponse] = self._answers
        """Every answer in progress."""
        self.add = self._answers.add
        self.discard = self._answers.discard

    async def run(self) -> None:
        """Check until canceled."""
        while True:
            await asyncio.sleep(self._interval)
            self.check()

    def check(self) -> None:
        """Check every answer once."""
        first_byte, idle, total = self._limits
        now = self.loop.time()
        for answer in list(self._answers):
            answer.check(now, first_byte, idle, total)

"""Measure the delay of the event loop: whatever blocks it delays every stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL_SECONDS = 0.05


async def watch(observe: Callable[[float], object], interval: float = INTERVAL_SECONDS) -> None:
    """Call `observe` every `interval` with the delay of this task's wake-up in seconds, until canceled.

    uvloop's timers have a resolution of 1 ms, so up to 1 ms is measuring error.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        observe(max(0.0, loop.time() - due))

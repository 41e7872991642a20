"""How late the event loop is: whatever blocks it delays every stream, so its lag is measured all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

INTERVAL_S = 0.05


async def watch(observe: Callable[[float], object], interval: float = INTERVAL_S) -> None:
    """Give `observe` the seconds by which the loop woke this task too late, every `interval`; ends when cancelled.

    A timer of uvloop counts in whole milliseconds, so up to one of them is its own.
    """
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + interval
        await asyncio.sleep(interval)
        observe(max(0.0, loop.time() - due))

"""The event loop's lag, on a real loop."""

from __future__ import annotations

import asyncio
import time

from pointsman.observability.loop_lag import watch
from support.process import PATIENCE_SECONDS

BLOCKED_SECONDS = 0.2


async def lags(block: bool) -> list[float]:
    """What is observed until the second observation; the loop is blocked before the first one, if so asked."""
    seen: list[float] = []
    enough = asyncio.Event()

    def observe(seconds: float) -> None:
        seen.append(seconds)
        if len(seen) == 2:
            enough.set()

    task = asyncio.create_task(watch(observe, interval=0.01))
    await asyncio.sleep(0)
    if block:
        time.sleep(BLOCKED_SECONDS)  # noqa: ASYNC251 - what must never happen
    async with asyncio.timeout(PATIENCE_SECONDS):
        await enough.wait()
    task.cancel()
    await asyncio.wait([task])
    return seen


async def test_a_blocked_loop_is_late_by_as_long_as_it_was_blocked() -> None:
    first, _ = await lags(block=True)
    assert first >= BLOCKED_SECONDS - 0.01 - 0.001


async def test_lag_is_never_negative() -> None:
    assert min(await lags(block=False)) >= 0

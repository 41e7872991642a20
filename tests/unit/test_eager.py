"""Coroutines that run at once as far as they come without waiting."""

from __future__ import annotations

import asyncio

from pointsman import eager
from support.process import PATIENCE_SECONDS


async def test_what_waits_for_nothing_is_done_at_once_and_in_no_task() -> None:
    seen: list[asyncio.Task[None] | None] = []

    async def work() -> None:
        seen.append(asyncio.current_task())

    mine = asyncio.current_task()
    assert eager.run(work(), asyncio.get_running_loop()) is None
    assert seen == [mine], "the caller's, if any"


async def test_from_where_a_task_is_asked_for_there_is_one() -> None:
    seen: list[asyncio.Task[None] | None] = []

    async def work() -> None:
        await eager.continue_in_task()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.sleep(0)
        seen.append(asyncio.current_task())

    task = eager.run(work(), asyncio.get_running_loop())
    assert task is not None
    assert seen == [], "the rest has not begun"
    await task
    assert seen == [task]


async def test_a_task_that_is_cancelled_before_its_first_turn_still_hears_of_it() -> None:
    """A request must have its outcome, whenever its client leaves."""
    seen: list[str] = []

    async def work() -> None:
        try:
            await eager.continue_in_task()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = eager.run(work(), asyncio.get_running_loop())
    assert task is not None
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert seen == ["cancelled"]

"""Long work in steps, on a real loop."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from pointsman.routing import steps as steps_module
from pointsman.routing.steps import Steps, StepScheduler, TimeSlice, finish, time_sliced


def work(steps: int, log: list[str], name: str = "") -> Steps[int]:
    for _ in range(steps):
        log.append(name)
        yield
    return steps


def test_work_of_one_step_is_done_at_once_in_no_task() -> None:
    with pytest.raises(StopIteration) as done:
        StepScheduler().run(work(0, [])).send(None)
    assert done.value.value == 0


async def test_others_have_their_turn_after_each_step() -> None:
    """A request of another client takes several turns of the loop, and each would last longer."""
    log: list[str] = []
    task = asyncio.create_task(StepScheduler().run(work(20, log)))
    while not task.done():
        done = len(log)
        await asyncio.sleep(0)
        assert len(log) <= done + 1
    assert await task == 20


async def test_long_work_takes_turns() -> None:
    """Each has its first step at once. What has few steps is done soon, however many others have left."""
    step_scheduler, log = StepScheduler(), list[str]()
    await asyncio.gather(step_scheduler.run(work(5, log, "a")), step_scheduler.run(work(2, log, "b")))
    assert "".join(log) == "ababaaa"


async def test_what_begins_does_not_wait_for_the_steps_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    step_scheduler, log = StepScheduler(), list[str]()
    tasks = [asyncio.create_task(step_scheduler.run(work(100, log))) for _ in range(50)]
    await asyncio.sleep(0)
    before, now = len(log), itertools.count()
    monkeypatch.setattr(steps_module, "perf_counter", lambda: next(now))
    assert step_scheduler.begins()
    assert not step_scheduler.begins()
    await step_scheduler.turn()
    assert 0 < len(log) - before < 5
    await asyncio.gather(*tasks)


def test_a_pace_pauses_each_half_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(steps_module, "perf_counter", lambda: now)

    def tasks() -> Steps[None]:
        nonlocal now
        time_slice = TimeSlice()
        for _ in range(100):
            now += 0.00017
            yield from time_slice.pause()

    def shorter() -> Steps[int]:
        nonlocal now
        for _ in range(100):
            now += 0.00017
            yield
        return 5

    def pauses(steps: Steps[Any]) -> int:
        nonlocal now
        count = 0
        for _ in steps:
            count += 1
            now += 1.0  # others run, which does not count
        return count

    assert pauses(tasks()) == 33
    assert 25 <= pauses(time_sliced(shorter())) <= 33
    assert finish(time_sliced(shorter())) == 5


async def test_work_that_is_cancelled_frees_the_lane() -> None:
    step_scheduler = StepScheduler()
    task = asyncio.create_task(step_scheduler.run(work(1_000_000, [])))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await step_scheduler.run(work(3, [])) == 3


async def test_what_waits_to_begin_is_not_overtaken(monkeypatch: pytest.MonkeyPatch) -> None:
    step_scheduler, now = StepScheduler(), 0.0
    monkeypatch.setattr(steps_module, "perf_counter", lambda: now)
    assert step_scheduler.begins()
    now = 1.0
    assert not step_scheduler.begins()
    waiting = [asyncio.create_task(step_scheduler.turn()) for _ in range(40)]
    waiting[1].cancel()
    await waiting[0]
    assert not waiting[-1].done()
    assert not step_scheduler.begins(), "although this turn has just begun"
    await asyncio.gather(*waiting, return_exceptions=True)
    assert step_scheduler.begins()

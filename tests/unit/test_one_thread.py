"""Work that may hang runs in one thread, however often somebody asks for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from pointsman.daemon_thread import SerialExecutor, all_ended, start


def threads() -> int:
    return sum(one.name == "hung" for one in threading.enumerate())


async def test_what_hangs_takes_one_thread_and_those_after_it_their_time_alone() -> None:
    one, ends, ran = SerialExecutor("hung"), threading.Event(), []
    try:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await one.run(lambda: ran.append(ends.wait()), 0.01)
        asked = [asyncio.create_task(one.run(lambda: ran.append(True), 0.01)) for _ in range(3)]
        assert [type(results) for results in await asyncio.gather(*asked, return_exceptions=True)] == [TimeoutError] * 3
        assert threads() == 1
        waits = asyncio.create_task(one.run(lambda: "read", 60))
        await asyncio.sleep(0)
    finally:
        ends.set()
    assert await waits == "read"
    assert ran == [True], "what was given up before its turn never runs"


async def test_each_has_its_own_result_or_error() -> None:
    one = SerialExecutor("hung")

    def work(number: int) -> Callable[[], int]:
        return lambda: 6 // number

    results = await asyncio.gather(*(one.run(work(number), 60) for number in (1, 0, 2, 3)), return_exceptions=True)
    assert [one if isinstance(one, int) else type(one) for one in results] == [6, ZeroDivisionError, 3, 2]


def test_the_end_of_the_process_waits_once_for_all_that_hang_and_not_for_each() -> None:
    ends, before = threading.Event(), time.monotonic()
    for _ in range(20):
        start(ends.wait, "stuck")
    try:
        assert not all_ended(0.01)
        assert all(one.daemon for one in threading.enumerate() if one.name == "stuck"), "nor does the interpreter wait"
    finally:
        ends.set()
    assert time.monotonic() - before < 10.0

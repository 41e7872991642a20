"""Background tasks are restarted whatever ends them, with growing pauses: on a clock that the test moves."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pointsman.app.supervisor import Supervisor
from pointsman.observability.log import Log
from support.log import Memory
from support.virtual_loop import VirtualLoop


class World:
    """A supervisor, and tasks that fail as told."""

    def __init__(self, clock: VirtualLoop) -> None:
        self.clock, self.log = clock, Memory()
        self.counted: list[str] = []
        self.supervisor = Supervisor(Log("info", self.log), self.counted.append)
        self.starts: list[float] = []

    def failing(self, after: Callable[[], float], error: Callable[[], BaseException] = ZeroDivisionError) -> Any:
        """A task that fails after so many seconds, each time that it is started."""
        begun = self.clock.time()

        async def work() -> None:
            self.starts.append(round(self.clock.time() - begun, 3))
            await asyncio.sleep(after())
            raise error()

        return work

    def start(self, name: str, work: Any, **about: str) -> asyncio.Task[None]:
        return self.clock.do(lambda: self.supervisor.start(name, work, **about))

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


@pytest.fixture
def world(clock: VirtualLoop) -> Iterator[World]:
    made = World(clock)
    yield made
    clock.run_until_complete(made.supervisor.close())


def test_a_failure_is_logged_with_its_task_and_counted(world: World) -> None:
    world.start("poller", world.failing(lambda: 0), endpoint="a")
    (line,) = world.lines()
    assert (line["level"], line["event"], line["task"], line["endpoint"]) == ("error", "task_failed", "poller", "a")
    assert line["restart_in_s"] == 0.1
    assert "ZeroDivisionError" in line["traceback"]
    assert world.counted == ["poller"]


def test_the_pause_doubles_up_to_half_a_minute(world: World) -> None:
    world.start("poller", world.failing(lambda: 0))
    world.clock.advance(200)
    assert world.starts[:8] == [0, 0.1, 0.3, 0.7, 1.5, 3.1, 6.3, 12.7]
    pauses = [later - earlier for earlier, later in zip(world.starts, world.starts[1:], strict=False)]
    assert pauses[9:] == pytest.approx([30.0] * len(pauses[9:]))
    assert len(pauses) > 11


def test_a_task_that_ran_for_ten_seconds_begins_with_the_first_pause_again(world: World) -> None:
    lasting = iter([0.0, 0.0, 9.0, 11.0, 0.0])
    world.start("poller", world.failing(lambda: next(lasting)))
    world.clock.advance(25)
    assert [line["restart_in_s"] for line in world.lines()][:5] == [0.1, 0.2, 0.4, 0.1, 0.2]


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ZeroDivisionError, id="a bug"),
        pytest.param(MemoryError, id="no memory"),
        pytest.param(asyncio.CancelledError, id="what it waited for was cancelled"),
    ],
)
def test_whatever_ends_a_task_it_is_restarted(world: World, error: type[BaseException]) -> None:
    world.start("poller", world.failing(lambda: 0, error))
    world.clock.advance(0.15)
    assert world.starts == [0, 0.1]


def test_a_task_that_returns_is_restarted(world: World) -> None:
    returns = 0

    async def work() -> None:
        nonlocal returns
        returns += 1

    world.start("poller", work)
    world.clock.advance(0.15)
    assert returns == 2
    assert world.lines()[0]["traceback"] == "the task has ended"


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_a_task_that_is_cancelled_ends(world: World, seconds: float) -> None:
    """While it runs, and while it waits to be restarted."""
    work = world.failing(lambda: 1.0 if seconds == 0 else 0.0)
    task = world.start("poller", work)
    world.clock.advance(seconds)
    world.clock.do(task.cancel)
    world.clock.advance(60)
    assert task.cancelled()
    assert world.starts == [0]


def test_closing_ends_all_tasks(world: World) -> None:
    tasks = [world.start(name, asyncio.Event().wait) for name in ("poller", "prober")]
    world.clock.run_until_complete(world.supervisor.close())
    assert all(task.cancelled() for task in tasks)


def test_closing_lets_a_task_that_ends_already_finish(world: World) -> None:
    """What it does at its end would else be cancelled, too."""
    last, finished = asyncio.Event(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await last.wait()
            finished.append(True)

    task = world.start("shadow", work)
    world.clock.do(task.cancel)
    closing = world.clock.do(lambda: world.clock.create_task(world.supervisor.close()))
    assert not closing.done()
    world.clock.do(last.set)
    assert closing.done()
    assert finished == [True]


def test_closing_cancels_again_what_missed_its_cancellation(world: World) -> None:
    """Else one such task keeps the process from ending, as SIGTERM asked it to."""

    async def misses_one() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    task = world.start("poller", misses_one)
    world.clock.do(task.cancel)
    closing = world.clock.do(world.clock.create_task, world.supervisor.close())
    world.clock.advance(4.9)
    assert not closing.done()
    world.clock.advance(0.2)
    assert closing.done()
    assert task.cancelled()


# --- down ---------------------------------------------------------------------------------------------------------


def test_a_task_is_down_from_its_third_failure_in_a_row_until_it_has_run_for_ten_seconds(world: World) -> None:
    lasting = iter([0.0, 0.0, 0.0, 60.0])
    world.start("poller", world.failing(lambda: next(lasting)))
    world.clock.advance(0.25)
    assert world.supervisor.down("prober", "poller") is None
    world.clock.advance(0.1)
    assert world.supervisor.down("prober", "poller") == "poller"
    assert world.supervisor.down("prober") is None
    world.clock.advance(10.0)
    assert world.supervisor.down("poller") == "poller"
    world.clock.advance(0.5)
    assert world.supervisor.down("poller") is None


def test_tasks_of_one_name_are_down_once_none_of_them_can_run(world: World) -> None:
    """One endpoint whose answers nobody can read takes the others with it nowhere."""
    world.start("poller", world.failing(lambda: 0), endpoint="a")
    other = world.start("poller", asyncio.Event().wait, endpoint="b")
    world.clock.advance(5)
    assert world.supervisor.down("poller") is None
    world.clock.do(other.cancel)
    world.clock.advance(0)
    assert world.supervisor.down("poller") == "poller"

"""Keep background tasks running: a task that fails is restarted, with exponential backoff."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

from pointsman.observability.log import Log

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 30.0
# A task that ran for this long is healthy: its next failure counts as the first.
WELL_SECONDS = 10.0
# A task that failed this often in a row cannot run. After a single failure it is back within FIRST_PAUSE_SECONDS.
DOWN_AFTER = 3
# Time for a canceled task to finish.
CLOSE_SECONDS = 5.0

Work = Callable[[], Coroutine[Any, Any, None]]


class Supervisor:
    """Endless background tasks by name, run until they are canceled. Use from one event loop."""

    def __init__(self, log: Log, count: Callable[[str], object]) -> None:
        """Take `count`, called with a task's name at each of its failures."""
        self._log = log
        self._count = count
        self._tasks: dict[asyncio.Task[None], _TaskHealth] = {}

    def start(self, name: str, work: Work, **about: str) -> asyncio.Task[None]:
        """Run `work()` in a task, and again whenever it fails; cancel the returned task to end it.

        Tasks that do the same for different objects share a name; `about` tells them apart in the log.
        """
        health = _TaskHealth(name)
        task = asyncio.get_running_loop().create_task(self._run(health, work, about), name=name)
        self._tasks[task] = health
        task.add_done_callback(self._tasks.pop)
        return task

    def down(self, *names: str) -> str | None:
        """Return the first of `names` of which no task can run: each has failed DOWN_AFTER times in a row."""
        for name in names:
            found = [health for health in self._tasks.values() if health.name == name]
            if found and all(health.failures >= DOWN_AFTER for health in found):
                return name
        return None

    async def close(self) -> None:
        """Cancel all tasks, and wait until they have ended.

        A task that takes longer than CLOSE_SECONDS is canceled again, and waited for as long once more.
        """
        tasks = list(self._tasks)
        for task in tasks:
            if not task.cancelling():  # one that is ending must finish its clean-up
                task.cancel()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=CLOSE_SECONDS)

    async def _run(self, health: _TaskHealth, work: Work, about: dict[str, str]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            well = loop.call_later(WELL_SECONDS, health.reset)
            try:
                trace = await _failure(work)
            finally:
                well.cancel()
            health.failures += 1
            pause = min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(health.failures - 1, 30))
            self._count(health.name)
            self._log.write("error", "task_failed", task=health.name, **about, restart_in_s=pause, traceback=trace)
            await asyncio.sleep(pause)


async def _failure(work: Work) -> str:
    """Run a task until it fails, and return the traceback; raises CancelledError if the task is canceled."""
    try:
        await work()
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) and task.cancelling():
            raise
        return traceback.format_exc()  # the task waited for something that was canceled; the task itself was not
    except Exception:  # noqa: BLE001 - whatever the failure is, the task must run again
        return traceback.format_exc()
    return "the task has ended"


class _TaskHealth:
    """The failures of one task since it last ran for WELL_SECONDS."""

    __slots__ = ("failures", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0

    def reset(self) -> None:
        self.failures = 0

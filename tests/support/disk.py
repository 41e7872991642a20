"""A disk that can hang, for the threads that write to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field


@dataclass
class Disk:
    """The threads that write, each at the end of `start`, unless the disk hangs."""

    hangs: bool = False
    writes: int = 0
    waiting: list[Callable[[], None]] = field(default_factory=list)

    def start(self, work: Callable[[], None], _: str) -> Future[None]:
        self.writes += 1
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()

        def run() -> None:
            try:
                work()
            except OSError as error:
                future.set_exception(error)
            else:
                future.set_result(None)

        if self.hangs:
            self.waiting.append(run)
        else:
            run()
        return future

    def recovers(self) -> None:
        self.hangs = False
        for run in self.waiting:
            run()

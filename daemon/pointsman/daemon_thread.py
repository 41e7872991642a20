"""Run work that may never end in a thread that can be abandoned."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class _DaemonThread(threading.Thread):
    """A thread of this module."""


def start(work: Callable[[], T], name: str) -> Future[T]:
    """Run `work` in a thread that the process need not wait for when it ends; return its future."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # the work cannot be canceled, only abandoned

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result raises it
            future.set_exception(error)
        else:
            future.set_result(result)

    _DaemonThread(target=run, name=name, daemon=True).start()
    return future


async def run(work: Callable[[], T], name: str, seconds: float) -> T:
    """Run `work` as `start` does, and return its result; raises TimeoutError if it takes longer."""
    async with within(seconds):
        return await asyncio.wrap_future(start(work, name))


@contextlib.asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError, whose `strerror` says so, if this takes longer."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise TimeoutError(errno.ETIMEDOUT, f"it took longer than {seconds:g} s") from error


class SerialExecutor:
    """A thread for such work, one at a time: work that hangs takes one thread, however often more is requested."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: Future[Any] | None = None

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """Return the result of `work`; raises TimeoutError if it, with the work before it, takes longer."""
        async with within(seconds):
            while self._running is not None and not self._running.done():
                await asyncio.gather(asyncio.wrap_future(self._running), return_exceptions=True)
            self._running = running = start(work, self._name)
            return await asyncio.wrap_future(running)


def all_ended(timeout_s: float) -> bool:
    """Wait for the threads that `start` started, and return whether all have ended.

    If not, the process must end by `os._exit`: libraries abort when they are torn down under a running thread.
    """
    ends = time.monotonic() + timeout_s
    for thread in threading.enumerate():
        if isinstance(thread, _DaemonThread):
            thread.join(max(0.0, ends - time.monotonic()))
    return not any(isinstance(thread, _DaemonThread) for thread in threading.enumerate())

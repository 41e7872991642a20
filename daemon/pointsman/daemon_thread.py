"""Run work that may never end in a thread that can be given up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class _Thread(threading.Thread):
    """A thread of this module."""


def start(work: Callable[[], T], name: str) -> Future[T]:
    """Run `work` in a thread that the process need not wait for when it ends; return its future."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # it cannot be cancelled, only left alone

    def run() -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever waits for the result raises it
            future.set_exception(error)
        else:
            future.set_result(result)

    _Thread(target=run, name=name, daemon=True).start()
    return future


def all_ended(within_s: float) -> bool:
    """Wait for the threads that `start` started, and return whether all have ended.

    If not, the process must end by `os._exit`: libraries abort when they are torn down under a running thread.
    """
    ends = time.monotonic() + within_s
    for thread in threading.enumerate():
        if isinstance(thread, _Thread):
            thread.join(max(0.0, ends - time.monotonic()))
    return not any(isinstance(thread, _Thread) for thread in threading.enumerate())

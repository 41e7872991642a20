"""Run coroutines at once until they must wait, and only then in a task.

Most requests wait for nothing until they are sent to vLLM, and a task for each would cost as much as routing it.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator


@types.coroutine
def continue_in_task() -> Generator[None, None, None]:
    """Continue in a task; await this before anything that may suspend, timeouts included."""
    yield


def run(work: Coroutine[None, None, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None] | None:
    """Start `work`; return the task that continues it, or None if it is done."""
    try:
        work.send(None)
    except StopIteration:
        return None
    return loop.create_task(work)  # its first step continues after the bare `yield`

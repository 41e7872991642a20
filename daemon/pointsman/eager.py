"""Coroutines that run at once as far as they come without waiting, and only from there on in a task.

Most requests wait for nothing until they are with vLLM, and a task for each would cost as much as routing it.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator


@types.coroutine
def in_task() -> Generator[None, None, None]:
    """Must be awaited before anything that takes time, timeouts included: from here on there is a task."""
    yield


def run(work: Coroutine[None, None, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None] | None:
    """Start `work`; the task that goes on with it where it is not done already."""
    try:
        work.send(None)
    except StopIteration:
        return None
    return loop.create_task(work)  # its first step goes on behind the bare `yield`

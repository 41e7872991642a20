"""Do long work in steps, so that one event loop can do other work between them.

A thread would not help: what reads JSON holds the GIL, and a loop that must take it back waits up to 5 ms each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from typing import TypeVar, cast

from pointsman.eager import in_task

T = TypeVar("T")

Steps = Generator[None, None, T]
"""Work that yields about every half millisecond, and returns its result."""


def finish(steps: Steps[T]) -> T:
    """Return the result of all steps, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)


class Lane:
    """Runs long work for one event loop: one after the other, so that many long bodies delay it no more than one."""

    __slots__ = ("_turn",)

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def run(self, steps: Steps[T]) -> T:
        """Return the result of all steps; work of one step is done at once, in no task."""
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)
        await in_task()
        async with self._turn:
            while True:
                await asyncio.sleep(0)
                try:
                    next(steps)
                except StopIteration as done:
                    return cast(T, done.value)

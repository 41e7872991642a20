"""Do long work in steps, so that one event loop can do other work between them.

A thread would not help: what reads JSON holds the GIL, and a loop that must take it back waits up to 5 ms each time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar, cast

from pointsman.eager import in_task

T = TypeVar("T")

STEP_SECONDS = 0.0005
# Work that begins in one turn of the event loop, many requests' at once, may take so long before the rest of it waits.
MAX_BEGIN_SECONDS = 0.002

Steps = Generator[None, None, T]
"""Work that yields about every half millisecond, and returns its result."""


def finish(steps: Steps[T]) -> T:
    """Return the result of all steps, without a pause."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)


class Pace:
    """Tells work when to pause whose parts take from microseconds to milliseconds: nobody knows how long before."""

    __slots__ = ("_end",)

    def __init__(self) -> None:
        self._end = perf_counter() + STEP_SECONDS

    def pause(self) -> Steps[None]:
        """End the step if it has lasted long enough."""
        if perf_counter() >= self._end:
            yield
            self._end = perf_counter() + STEP_SECONDS


def paced(steps: Steps[T]) -> Steps[T]:
    """Return the result of work in shorter steps, several of which are one."""
    pace: Pace | None = None
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return cast(T, done.value)
        pace = pace or Pace()
        yield from pace.pause()


class Lane:
    """Runs long work for one event loop: a step of one at a time, so that many long bodies delay it no more than one.

    They take turns: what has few steps does not wait until others have done all of theirs.
    """

    __slots__ = ("_beginning", "_begun", "_turn")

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._beginning = asyncio.Lock()
        self._begun: float | None = None
        """Since when work begins in this turn of the event loop."""

    async def begin(self) -> None:
        """Let work begin in this turn of the event loop, or, if that takes too long already, alone in a later one.

        It does not wait for the steps of other work.
        """
        if self._begun is None:
            self._begun = perf_counter()
            asyncio.get_running_loop().call_soon(self._end_turn)
        elif perf_counter() >= self._begun + MAX_BEGIN_SECONDS:
            await in_task()
            async with self._beginning:
                await asyncio.sleep(0)

    def _end_turn(self) -> None:
        self._begun = None

    async def run(self, steps: Steps[T]) -> T:
        """Return the result of all steps; work of one step is done at once, in no task."""
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        await in_task()
        while True:
            async with self._turn:
                await asyncio.sleep(0)
                try:
                    next(steps)
                except StopIteration as done:
                    return cast(T, done.value)

"""The faults that the self-test injects, each into a few requests at random."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from chaos.prompt import LONG_TOKENS

T = TypeVar("T")

NAMES = {
    "prompts swapped": {"prompt"},
    "another adapter": {"adapter"},
    "sent under another id": {"orphan"},
    "sent twice": {"repeat"},
    "bodies swapped": {"answer", "prefix"},
    "a byte changed": {"answer", "prefix"},
    "generation goes on": {"late"},
    "headers swapped": {"headers"},
    "another decision in the headers": {"headers"},
}
"""The faults, each with the rules one of which must name it."""
LATE = "generation goes on"
"""Only in streams that go on long enough after their client left."""
IN_BODIES = frozenset({"bodies swapped", "a byte changed"})
"""Only clients that receive part of the body can see them."""
IN_STREAMS = IN_BODIES | {LATE}
BEYOND_CLIENTS = frozenset({"sent under another id", LATE})
"""Faults that a client need not see; they are noted once they happened."""
SWAPS = frozenset({"prompts swapped", "bodies swapped", "headers swapped"})
SHARE = 0.3
PARTNER_SECONDS = 0.5


class Rendezvous(Generic[T]):
    """Bring two requests together that swap something."""

    def __init__(self) -> None:
        self._first: tuple[T, asyncio.Future[T]] | None = None

    async def swap(self, mine: T) -> T | None:
        """Return what another request brought, or None if none came in time."""
        if self._first is not None and not self._first[1].done():
            (theirs, waiting), self._first = self._first, None
            waiting.set_result(mine)
            return theirs
        waiting = asyncio.get_running_loop().create_future()
        self._first = mine, waiting
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PARTNER_SECONDS):
                return await waiting
        return None


@dataclass
class Injector:
    """Chooses the fault of each request; `injected` has the ids of those that got theirs, by fault."""

    dice: random.Random
    active: bool = False
    injected: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    meetings: dict[str, Rendezvous[Any]] = field(default_factory=lambda: defaultdict(Rendezvous))
    _chosen: dict[str, str | None] = field(default_factory=dict)
    _alone: str | None = None

    def fault(self, request_id: str, asked: dict[str, Any] | None) -> str | None:
        """Return the fault for a request, the same wherever it passes."""
        if asked is None or not self.active:
            return None
        if request_id not in self._chosen:
            self._chosen[request_id] = self._choose(_fitting(asked))
        return self._chosen[request_id]

    def _choose(self, fits: Sequence[str]) -> str | None:
        """Choose one of these faults or none; the next request after one that swaps something is its partner."""
        if self._alone in fits:
            fault, self._alone = self._alone, None
            return fault
        if self.dice.random() >= SHARE:
            return None
        fault = self.dice.choice(fits)
        if fault in SWAPS:
            self._alone = fault
        return fault

    def note(self, fault: str, request_id: str) -> None:
        """Note that a request got its fault."""
        self.injected[fault].add(request_id)

    def each(self) -> int:
        """Return how often each fault was injected at least."""
        return min(len(self.injected[name]) for name in NAMES)


def _fitting(asked: dict[str, Any]) -> list[str]:
    """Return the faults that can be seen in the response to a request."""
    if asked.get("stream") is not True:
        return [name for name in NAMES if name not in IN_STREAMS]
    if asked.get("max_tokens") == LONG_TOKENS:
        return [LATE]
    return [name for name in NAMES if name != LATE]

"""Tally one side of an experiment as its requests end, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pointsman.evaluation.comparison import Conversation
from pointsman.evaluation.metrics import accuracy_interval
from pointsman.evaluation.sequential import Sample, Share
from pointsman.lru import Lru


@dataclass(slots=True)
class Moments:
    """The number of values, their sum and that of their squares."""

    rows: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.rows += 1
        self.total += value
        self.squares += value * value

    def change(self, before: float, after: float) -> None:
        """Replace a value."""
        self.total += after - before
        self.squares += after * after - before * before

    def sample(self) -> Sample:
        """Return the mean and its variance."""
        if self.rows < 2:
            return Sample(self.rows, self.total, math.inf)
        mean = self.total / self.rows
        variance = max(0.0, self.squares - self.rows * mean * mean) / (self.rows - 1)
        return Sample(self.rows, mean, variance / self.rows)


class Tally:
    """What `Side` tells, without keeping its conversations; of these, the last `most` that were heard of are known.

    One that comes back later counts as another.
    """

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self.requests = 0
        self._failed = 0
        self._first_bytes = Moments()
        self._tokens = Moments()
        self._costs = Moments()
        self._known: Lru[str, Conversation] = Lru(most)

    def add(self, draw: str, *, failed: bool, first_byte: float | None, tokens: int, cost: float) -> None:
        """Count a request of the conversation that was drawn with `draw`; `first_byte` is in milliseconds."""
        self.requests += 1
        one = self._known.get(draw)
        if one is None:
            one = Conversation()
            self._tokens.add(0.0)
            self._costs.add(0.0)
        self._known.put(draw, one)
        if failed and not one.failed:
            one.failed = True
            self._failed += 1
        if one.first_byte is None and not failed and first_byte:
            one.first_byte = first_byte
            self._first_bytes.add(math.log(first_byte))
        self._tokens.change(one.tokens, one.tokens + tokens)
        self._costs.change(one.cost, one.cost + cost)
        one.tokens += tokens
        one.cost += cost

    def failures(self) -> tuple[int, int]:
        """Return how many conversations failed, of how many."""
        return self._failed, self._tokens.rows

    def first_bytes(self) -> Sample:
        """Return the logarithms of the times to the first byte."""
        return self._first_bytes.sample()

    def scored(self) -> Share:
        """Return nothing: feedback is in the file that `pointsman compare` reads."""
        return 0.0, 0

    def labelled(self, label: str) -> tuple[int, int]:
        """Return nothing, for the same reason."""
        return 0, 0

    def figures(self) -> dict[str, Any]:
        """Return the counts, and means with their 95 % intervals."""
        failed, conversations = self.failures()
        share = None
        if conversations:
            low, high = accuracy_interval(failed, conversations)
            share = {"value": failed / conversations, "low": low, "high": high}
        return {
            "name": self.name,
            "requests": self.requests,
            "conversations": conversations,
            "failed": share,
            "first_byte_ms": _mean(self.first_bytes(), math.exp),
            "tokens": _mean(self._tokens.sample()),
            "cost": _mean(self._costs.sample()),
        }


def _mean(sample: Sample, of: Callable[[float], float] = lambda value: max(0.0, value)) -> dict[str, float] | None:
    if sample.rows < 2:
        return None
    low, high = sample.interval()
    return {"value": of(sample.mean), "low": of(low), "high": of(high)}

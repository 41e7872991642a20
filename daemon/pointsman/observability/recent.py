"""Report the counts of the last minutes, for `GET /status`: decisions, errors, runs of the classifier.

The counters are read once a minute, so that the window costs a request nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pointsman.observability.instruments import quantile_ms

MINUTES = 15


class Totals(NamedTuple):
    """Counts since the start: decisions by category and reason, responses by status, runs by their time."""

    decisions: Counter[tuple[str | None, str]]
    statuses: Counter[str]
    runs: Counter[float]
    """By the upper bound of a bucket, in seconds."""
    models: Mapping[str, ModelTotals]
    bounds: tuple[float, ...]
    """The upper bounds of the buckets of `models`, in seconds."""


class ModelTotals(NamedTuple):
    """Counts of one model since the start: its requests, those answered with 5xx, tokens, and times by bucket."""

    requests: int
    failed: int
    prompt_tokens: int
    completion_tokens: int
    first_bytes: tuple[float, ...]
    wholes: tuple[float, ...]

    def since(self, earlier: ModelTotals) -> ModelTotals:
        """Return the difference from the former counts."""
        first_bytes, wholes = (
            tuple(new - before for new, before in zip(*pair, strict=True))
            for pair in ((self.first_bytes, earlier.first_bytes), (self.wholes, earlier.wholes))
        )
        return ModelTotals(
            self.requests - earlier.requests,
            self.failed - earlier.failed,
            self.prompt_tokens - earlier.prompt_tokens,
            self.completion_tokens - earlier.completion_tokens,
            first_bytes,
            wholes,
        )


class RecentCounts:
    """The counts of the last MINUTES; `read` returns the totals."""

    def __init__(self, read: Callable[[], Totals], now: float | None = None) -> None:
        """Take `now`, here and below a time of a steady clock in seconds; by default the present."""
        self._read = read
        self._taken: deque[tuple[float, Totals]] = deque(maxlen=MINUTES)
        self.take(now)

    async def watch(self) -> None:
        """Read the totals every minute, until canceled."""
        while True:
            self.take()
            await asyncio.sleep(60)

    def take(self, now: float | None = None) -> None:
        """Read the totals, and drop those of MINUTES ago."""
        self._taken.append((time.monotonic() if now is None else now, self._read()))

    def summary(self, now: float | None = None) -> dict[str, Any]:
        """Return the counts since the oldest reading as JSON, the most frequent first."""
        (since, earlier), new = self._taken[0], self._read()
        decisions, statuses, runs = (
            new.decisions - earlier.decisions,
            new.statuses - earlier.statuses,
            new.runs - earlier.runs,
        )
        return {
            "seconds": round((time.monotonic() if now is None else now) - since),
            "requests": statuses.total(),
            "decisions": [
                {"category": category, "reason": reason, "requests": count}
                for (category, reason), count in decisions.most_common()
            ],
            "errors": [
                {"status": int(status), "requests": count}
                for status, count in statuses.most_common()
                if int(status) >= 400
            ],
            "models": _models(new, earlier),
            "run_ms": {"p50": _quantile(runs, 0.5), "p95": _quantile(runs, 0.95)},
        }


def _models(new: Totals, earlier: Totals) -> list[dict[str, Any]]:
    """Return the requests, errors and times by model, the most frequent model first."""
    found = {
        name: one.since(earlier.models[name]) if name in earlier.models else one for name, one in new.models.items()
    }
    return [
        {
            "model": name,
            "requests": one.requests,
            "failed": one.failed,
            "prompt_tokens": one.prompt_tokens,
            "completion_tokens": one.completion_tokens,
            "first_byte_ms": _times(new.bounds, one.first_bytes),
            "whole_ms": _times(new.bounds, one.wholes),
        }
        for name, one in sorted(found.items(), key=lambda item: -item[1].requests)
        if one.requests
    ]


def _times(bounds: tuple[float, ...], counts: tuple[float, ...]) -> dict[str, float] | None:
    if not any(counts):
        return None
    return {"p50": quantile_ms(bounds, counts, 0.5), "p95": quantile_ms(bounds, counts, 0.95)}


def _quantile(runs: Counter[float], share: float) -> float | None:
    """Return the upper bound of the bucket with this quantile in milliseconds, or None without counts."""
    seen = 0
    for bound, count in sorted(runs.items()):
        seen += count
        if seen >= share * runs.total():
            return bound * 1000
    return None

"""Tell what the counters counted in the last minutes, for `GET /status`: decisions, errors, runs of the classifier.

The counters are read once a minute, so that the window costs a request nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, NamedTuple

MINUTES = 15


class Totals(NamedTuple):
    """Counts since the start: decisions by category and reason, responses by status, runs by their time."""

    decisions: Counter[tuple[str | None, str]]
    statuses: Counter[str]
    runs: Counter[float]
    """By the upper bound of a bucket, in seconds."""


class Recent:
    """The counts of the last MINUTES; `read` returns the totals."""

    def __init__(self, read: Callable[[], Totals], now: float | None = None) -> None:
        """`now`, here and below, is a time of a steady clock in seconds; by default the present."""
        self._read = read
        self._taken: deque[tuple[float, Totals]] = deque(maxlen=MINUTES)
        self.take(now)

    async def watch(self) -> None:
        """Read the totals every minute, until cancelled."""
        while True:
            self.take()
            await asyncio.sleep(60)

    def take(self, now: float | None = None) -> None:
        """Read the totals, and forget those of MINUTES ago."""
        self._taken.append((time.monotonic() if now is None else now, self._read()))

    def summary(self, now: float | None = None) -> dict[str, Any]:
        """Return the counts since the oldest reading as JSON, what is most frequent first."""
        (since, old), new = self._taken[0], self._read()
        decisions, statuses, runs = new.decisions - old.decisions, new.statuses - old.statuses, new.runs - old.runs
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
            "run_ms": {"p50": _quantile(runs, 0.5), "p95": _quantile(runs, 0.95)},
        }


def _quantile(runs: Counter[float], share: float) -> float | None:
    """Return the upper bound of the bucket with this quantile in milliseconds, None where nothing was counted."""
    seen = 0
    for bound, count in sorted(runs.items()):
        seen += count
        if seen >= share * runs.total():
            return bound * 1000
    return None

"""Keep what the counters counted: in the last hour by the minute, in the last day by five minutes.

The counters are read once a minute, so this costs a request nothing. It takes 3 MB, whatever happens: of each kind of
name the first get a column of their own, and all others share one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pointsman.observability.instruments import Histogram, quantile_ms
from pointsman.observability.metrics import Metrics

MINUTE_S = 60
HOUR = (60, MINUTE_S)
DAY = (288, 5 * MINUTE_S)
NAMES = 64
STATUSES = 16
OTHERS = "other"


class _Column:
    """The columns of one kind of name; `width` is how many each name has."""

    def __init__(self, start: int, names: int, width: int = 1) -> None:
        self._start, self._most, self._width = start, names, width
        self._places: dict[str, int] = {}
        self.end = start + names * width

    def of(self, name: str) -> int:
        """Return the first column of a name, that of all others where there is none left."""
        place = self._places.get(name)
        if place is None:
            if len(self._places) == self._most - 1:
                return self.end - self._width
            place = self._places[name] = len(self._places)
        return self._start + place * self._width

    def read(self, rows: NDArray[np.uint32]) -> Iterator[tuple[str, NDArray[np.uint32]]]:
        """Yield the names that were counted, with their columns in these rows."""
        for name, start in [*((name, self.of(name)) for name in self._places), (OTHERS, self.end - self._width)]:
            found = rows[:, start : start + self._width]
            if found.any():
                yield name, found


class _Ring:
    """The counts of the last `slots` times of `seconds`."""

    def __init__(self, slots: int, seconds: int, columns: int) -> None:
        self.seconds = seconds
        self._rows = np.zeros((slots, columns), np.uint32)
        self._numbers = np.full(slots, -1)

    def add(self, at: float, counts: NDArray[np.int64]) -> None:
        """Count at a time in seconds since the epoch."""
        number = int(at // self.seconds)
        place = number % len(self._rows)
        if self._numbers[place] != number:
            self._numbers[place], self._rows[place] = number, 0
        self._rows[place] += counts.astype(np.uint32)

    def window(self, now: float) -> tuple[int, NDArray[np.uint32]]:
        """Return when the oldest slot began, and the counts of all slots up to now, the oldest first."""
        slots = len(self._rows)
        numbers = np.arange(int(now // self.seconds) - slots + 1, int(now // self.seconds) + 1)
        places = numbers % slots
        rows = self._rows[places]
        rows[self._numbers[places] != numbers] = 0
        return int(numbers[0]) * self.seconds, rows


class Traffic:
    """The counts of the last hour and of the last day."""

    def __init__(self, metrics: Metrics, now: float | None = None) -> None:
        """`now`, here and below, is in seconds since the epoch; by default the present."""
        self._metrics = metrics
        scores, first, whole = metrics.confidence, metrics.model_first_byte_seconds, metrics.model_request_seconds
        self._categories = _Column(0, NAMES)
        self._reasons = _Column(self._categories.end, NAMES)
        self._models = _Column(self._reasons.end, NAMES)
        self._statuses = _Column(self._models.end, STATUSES)
        self._scores = _Column(self._statuses.end, 1, len(scores.bounds) + 1)
        self._first_bytes = _Column(self._scores.end, NAMES, len(first.bounds) + 1)
        self._wholes = _Column(self._first_bytes.end, NAMES, len(whole.bounds) + 1)
        self._columns = self._wholes.end
        self._rings = {"hour": _Ring(*HOUR, self._columns), "day": _Ring(*DAY, self._columns)}
        self._at = time.time() if now is None else now
        self._counted = self._read()

    async def watch(self) -> None:
        """Read the counters at the end of every minute, until cancelled."""
        while True:
            self.take()
            await asyncio.sleep(MINUTE_S - time.time() % MINUTE_S)

    def take(self, now: float | None = None) -> None:
        """Count what was counted since the last time, for that time."""
        counted = self._read()
        new = counted - self._counted
        for ring in self._rings.values():
            ring.add(self._at, new)
        self._counted, self._at = counted, time.time() if now is None else now

    def _read(self) -> NDArray[np.int64]:
        """Return all counts since the start of the service."""
        metrics, found = self._metrics, np.zeros(self._columns, np.int64)
        metrics.settle()
        for (reason, category, model, *_), count in metrics.decisions.items():
            for column, name in ((self._categories, category), (self._reasons, reason), (self._models, model)):
                found[column.of(name)] += int(count)
        for (_, status), count in metrics.requests.items():
            found[self._statuses.of(status)] += int(count)
        _add(found, self._scores, metrics.confidence)
        _add(found, self._first_bytes, metrics.model_first_byte_seconds)
        _add(found, self._wholes, metrics.model_request_seconds)
        return found

    def report(self, window: str, now: float | None = None) -> dict[str, Any]:
        """Return the counts of the last `hour` or `day` up to now as JSON; those of the last slot are not complete."""
        self.take(now)
        ring = self._rings[window]
        start, rows = ring.window(self._at)
        return {
            "start": start,
            "step_s": ring.seconds,
            "now": round(self._at, 3),
            "categories": _series(self._categories, rows),
            "reasons": _series(self._reasons, rows),
            "models": _series(self._models, rows),
            "statuses": _series(self._statuses, rows),
            "confidence": {
                "bounds": self._metrics.confidence.bounds,
                "counts": _sum(rows[:, self._scores.of("") : self._scores.end])[:-1].tolist(),
            },
            "latency": self._latency(rows),
        }

    def _latency(self, rows: NDArray[np.uint32]) -> list[dict[str, Any]]:
        """Return the time to the first byte and to the last by model, the most frequent first."""
        metrics = self._metrics
        first = dict(_times(self._first_bytes, metrics.model_first_byte_seconds, rows))
        whole = dict(_times(self._wholes, metrics.model_request_seconds, rows))
        found = [{"model": name, "first_byte": first.get(name), "whole": times} for name, times in whole.items()]
        return sorted(found, key=lambda one: -one["whole"]["requests"])


def _add(found: NDArray[np.int64], column: _Column, histogram: Histogram) -> None:
    for name, counts in histogram.items():
        start = column.of(name)
        found[start : start + len(counts)] += np.array(counts, np.int64)


def _sum(rows: NDArray[np.uint32]) -> NDArray[np.int64]:
    total: NDArray[np.int64] = rows.sum(axis=0, dtype=np.int64)
    return total


def _series(column: _Column, rows: NDArray[np.uint32]) -> list[dict[str, Any]]:
    """Return each name's counts by slot, the most frequent name first."""
    found = [{"name": name, "counts": counts[:, 0].tolist()} for name, counts in column.read(rows)]
    return sorted(found, key=lambda one: -sum(one["counts"]))


def _times(column: _Column, histogram: Histogram, rows: NDArray[np.uint32]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, counts in column.read(rows):
        total = _sum(counts).tolist()
        p50, p95 = (quantile_ms(histogram.bounds, total, share) for share in (0.5, 0.95))
        yield name, {"requests": sum(total), "p50_ms": p50, "p95_ms": p95}

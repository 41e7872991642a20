"""Store the counts of the last 15 minutes by 15 seconds, of the hour by the minute, of the day by five.

The counters are read every 15 seconds, so this costs a request nothing. It takes 3 MB with a dozen models and at most
22 MB: the first names of each kind get columns of their own, and all others share some.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pointsman.observability.instruments import quantile_ms
from pointsman.observability.metrics import Metrics
from pointsman.observability.usage import MAX_PAIRS, OTHERS, Pair

READ_SECONDS = 15
MINUTES = (60, READ_SECONDS)
HOUR = (60, 60)
DAY = (288, 300)
# Each window is a number of the last slots of a ring.
WINDOWS = {"5m": (MINUTES, 20), "15m": (MINUTES, 60), "hour": (HOUR, 60), "day": (DAY, 288)}
MAX_NAMES = 64
MAX_MODELS = 256
MAX_STATUSES = 16
# With more models than these, a chart shows the others as one.
MAX_CHARTED_MODELS = 16
# The number of columns by which a ring grows.
GROWTH = 128

K = TypeVar("K", bound=Hashable)
Rows = NDArray[np.uint32]


class _ColumnLayout:
    """The number of columns, which are assigned when names are first seen."""

    def __init__(self) -> None:
        self.width = 0

    def take(self, many: int) -> int:
        """Return the first of this many new columns."""
        self.width += many
        return self.width - many


class _NameColumns(Generic[K]):
    """The columns of one kind of name: `width` for each of the first `max_names` - 1, and for all `others` together."""

    def __init__(self, layout: _ColumnLayout, max_names: int, others: K, width: int = 1) -> None:
        self._layout, self._max_names, self._others, self.width = layout, max_names, others, width
        self._starts: dict[K, int] = {}

    def of(self, name: K) -> int:
        """Return the first column of a name."""
        start = self._starts.get(name)
        if start is None:
            if len(self._starts) - (self._others in self._starts) >= self._max_names - 1:
                name = self._others
            start = self._starts.get(name)
            if start is None:
                start = self._starts[name] = self._layout.take(self.width)
        return start

    def items(self) -> Iterable[tuple[K, int]]:
        """Return the names that have columns, each with its first."""
        return self._starts.items()


class _ColumnCounts:
    """All counts since the start, by column."""

    def __init__(self, layout: _ColumnLayout) -> None:
        self._layout = layout
        self._found = [0.0] * layout.width

    def add(self, start: int, counts: Sequence[float]) -> None:
        """Add counts from a column on."""
        found = self._found
        if self._layout.width > len(found):
            found.extend([0.0] * (self._layout.width - len(found)))
        for index, count in enumerate(counts, start):
            found[index] += count

    def array(self) -> NDArray[np.int64]:
        """Return all counts."""
        return np.array(self._found, np.int64)


class _RingBuffer:
    """The counts of the last `slots` times of `seconds`."""

    def __init__(self, slots: int, seconds: int) -> None:
        self.seconds = seconds
        self._rows: Rows = np.zeros((slots, 0), np.uint32)
        self._numbers = np.full(slots, -1)

    def add(self, at: float, counts: NDArray[np.int64]) -> None:
        """Count at a time in seconds since the epoch."""
        self._grow(len(counts))
        number = int(at // self.seconds)
        index = number % len(self._rows)
        if self._numbers[index] != number:
            self._numbers[index], self._rows[index] = number, 0
        self._rows[index, : len(counts)] += counts.astype(np.uint32)

    def _grow(self, width: int) -> None:
        slots, columns = self._rows.shape
        if width > columns:
            rows = np.zeros((slots, -(-width // GROWTH) * GROWTH), np.uint32)
            rows[:, :columns] = self._rows
            self._rows = rows

    def window(self, now: float, slots: int) -> _SlotWindow:
        """Return this many slots up to now, the oldest first."""
        newest = int(now // self.seconds)
        numbers = np.arange(newest - slots + 1, newest + 1)
        indices = numbers % len(self._rows)
        for number, index in zip(numbers, indices, strict=True):
            if self._numbers[index] != number:
                self._numbers[index], self._rows[index] = number, 0
        return _SlotWindow(int(numbers[0]) * self.seconds, self._rows, indices)


class _SlotWindow:
    """The counts of some slots, the first of which began at `start`; read before anything is added."""

    def __init__(self, start: int, rows: Rows, indices: NDArray[np.int64]) -> None:
        self.start = start
        self._rows, self._indices = rows, indices
        # A day of many models has much to add up, and more to copy.
        self._totals: NDArray[np.int64] = (rows if len(indices) == len(rows) else rows[indices]).sum(
            axis=0, dtype=np.int64
        )

    def total(self, names: _NameColumns[K]) -> dict[K, list[int]]:
        """Return the sum over all slots for each name that was counted."""
        found = {name: self._totals[start : start + names.width].tolist() for name, start in names.items()}
        return {name: counts for name, counts in found.items() if any(counts)}

    def slots(self, start: int, width: int = 1) -> Rows:
        """Return the counts of some columns by slot."""
        return self._rows[self._indices, start : start + width]


class Traffic:
    """The counts of the last minutes, of the last hour and of the last day."""

    def __init__(self, metrics: Metrics, now: float | None = None) -> None:
        """Take `now`, here and below in seconds since the epoch; by default the present."""
        self._metrics = metrics
        self._layout = layout = _ColumnLayout()
        self._bounds = metrics.model_first_byte_seconds.bounds
        buckets = len(self._bounds) + 1
        self._categories = _NameColumns(layout, MAX_NAMES, OTHERS)
        self._reasons = _NameColumns(layout, MAX_NAMES, OTHERS)
        self._statuses = _NameColumns(layout, MAX_STATUSES, OTHERS)
        self._scores = _NameColumns(layout, 1, "", len(metrics.confidence.bounds) + 1)
        # Of each model its requests, those answered with 5xx, prompt tokens and completion tokens.
        self._models = _NameColumns(layout, MAX_MODELS, OTHERS, 4)
        self._first_bytes = _NameColumns(layout, MAX_MODELS, OTHERS, buckets)
        self._wholes = _NameColumns(layout, MAX_MODELS, OTHERS, buckets)
        self._usage = _NameColumns[Pair](layout, MAX_PAIRS + 1, (OTHERS, OTHERS), 4)
        self._rings = {shape: _RingBuffer(*shape) for shape in (MINUTES, HOUR, DAY)}
        self._at = time.time() if now is None else now
        self._counted = self._read()

    async def watch(self) -> None:
        """Read the counters at the end of every READ_SECONDS, until canceled."""
        while True:
            self.take()
            await asyncio.sleep(READ_SECONDS - time.time() % READ_SECONDS)

    def take(self, now: float | None = None) -> None:
        """Add the counts since the last time, for that time."""
        counted = self._read()
        new = counted.copy()
        new[: len(self._counted)] -= self._counted
        for ring in self._rings.values():
            ring.add(self._at, new)
        self._counted, self._at = counted, time.time() if now is None else now

    def _read(self) -> NDArray[np.int64]:
        """Return all counts since the start of the service."""
        metrics, found = self._metrics, _ColumnCounts(self._layout)
        metrics.settle()
        for (reason, category, model, status, _), count in metrics.decisions.items():
            found.add(self._categories.of(category), (count,))
            found.add(self._reasons.of(reason), (count,))
            found.add(self._models.of(model), (count, count if status[0] == "5" else 0))
        for (_, status), count in metrics.requests.items():
            found.add(self._statuses.of(status), (count,))
        for (model, kind, _), count in metrics.tokens.items():
            found.add(self._models.of(model) + (2 if kind == "prompt" else 3), (count,))
        for column, histogram in (
            (self._scores, metrics.confidence),
            (self._first_bytes, metrics.model_first_byte_seconds),
            (self._wholes, metrics.model_request_seconds),
        ):
            for name, counts in histogram.items():
                found.add(column.of(name), counts)
        for pair, each in metrics.usage.items():
            found.add(self._usage.of(pair), each)
        return found.array()

    def report(self, window: str, now: float | None = None) -> dict[str, Any]:
        """Return the counts of one of WINDOWS up to now as JSON; those of the last slot are incomplete."""
        self.take(now)
        shape, slots = WINDOWS[window]
        found = self._rings[shape].window(self._at, slots)
        models, first_bytes, wholes = map(found.total, (self._models, self._first_bytes, self._wholes))
        busy = sorted(models, key=lambda name: -models[name][0])
        scores = found.total(self._scores)
        return {
            "start": found.start,
            "step_s": shape[1],
            "now": round(self._at, 3),
            "categories": _series(self._categories, found),
            "reasons": _series(self._reasons, found),
            "statuses": _series(self._statuses, found),
            "models": [
                {
                    "name": name,
                    **_figures(models[name]),
                    "first_byte": _times(self._bounds, first_bytes.get(name)),
                    "whole": _times(self._bounds, wholes.get(name)),
                }
                for name in busy
            ],
            "requests": self._charted({name: models[name][0] for name in busy}, 0, found),
            "failed": self._charted({name: models[name][1] for name in busy}, 1, found),
            "first_byte_ms": [
                {
                    "name": name,
                    "medians": _medians_ms(
                        self._bounds, found.slots(self._first_bytes.of(name), self._first_bytes.width)
                    ),
                }
                for name in busy[:MAX_CHARTED_MODELS]
                if name in first_bytes
            ],
            "first_byte": _times(self._bounds, [sum(counts) for counts in zip(*first_bytes.values(), strict=True)]),
            "usage": [
                {"key": key, "model": model} | _figures(counts)
                for (key, model), counts in found.total(self._usage).items()
            ],
            "confidence": {
                "bounds": self._metrics.confidence.bounds,
                "counts": scores.get("", [0] * self._scores.width)[:-1],
            },
        }

    def _charted(self, totals: dict[str, int], column: int, found: _SlotWindow) -> list[dict[str, Any]]:
        """Return the counts of the most frequent models by slot, and of all others together, which have no name."""
        names = sorted((name for name, total in totals.items() if total), key=lambda name: -totals[name])
        each = [(name, found.slots(self._models.of(name) + column)[:, 0]) for name in names]
        shown = [{"name": name, "counts": counts.tolist()} for name, counts in each[:MAX_CHARTED_MODELS]]
        if rest := each[MAX_CHARTED_MODELS:]:
            together = np.sum([counts for _, counts in rest], axis=0, dtype=np.int64)
            shown.append({"name": None, "models": len(rest), "counts": together.tolist()})
        return shown


def _figures(counts: list[int]) -> dict[str, int]:
    requests, failed, prompt, completion = counts
    return {"requests": requests, "failed": failed, "prompt_tokens": prompt, "completion_tokens": completion}


def _series(names: _NameColumns[str], found: _SlotWindow) -> list[dict[str, Any]]:
    """Return each name's counts by slot, the most frequent name first."""
    totals = found.total(names)
    return [
        {"name": name, "counts": found.slots(names.of(name))[:, 0].tolist()}
        for name in sorted(totals, key=lambda name: -totals[name][0])
    ]


def _times(bounds: tuple[float, ...], counts: list[int] | None) -> dict[str, Any] | None:
    if not counts:
        return None
    p50, p95 = (quantile_ms(bounds, counts, share) for share in (0.5, 0.95))
    return {"requests": sum(counts), "p50_ms": p50, "p95_ms": p95}


def _medians_ms(bounds: tuple[float, ...], rows: Rows) -> list[float | None]:
    """Return the median of each slot as `quantile_ms` does, None without counts.

    All at once: one by one, a day's would take 15 ms, during which no request proceeds.
    """
    edges = np.array([0.0, *bounds, bounds[-1]])
    cumulative = rows.cumsum(axis=1, dtype=np.int64)
    wanted = cumulative[:, -1] / 2
    buckets = (cumulative >= wanted[:, None]).argmax(axis=1)
    slots = np.arange(len(rows))
    counts = rows[slots, buckets]
    before = cumulative[slots, buckets] - counts
    parts = (wanted - before) / np.maximum(counts, 1)
    found = np.round(1000 * (edges[buckets] + (edges[buckets + 1] - edges[buckets]) * parts), 3).tolist()
    return [value if any_ else None for value, any_ in zip(found, wanted.tolist(), strict=True)]

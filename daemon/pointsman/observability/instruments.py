"""Count and observe at almost no cost to a request: plain numbers, converted to Prometheus' format when scraped.

The metrics of prometheus_client take a lock and check their labels at every step, which one event loop does not need.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class Counter(Collector):
    """A counter with labels."""

    def __init__(self, name: str, doc: str, labels: tuple[str, ...]) -> None:
        self._name, self._doc, self._labels = name, doc, labels
        self._values: defaultdict[tuple[str, ...], float] = defaultdict(float, {} if labels else {(): 0.0})

    def add(self, *labels: str, by: float = 1) -> None:
        """Add `by` to the series with these label values."""
        self._values[labels] += by

    def items(self) -> Iterable[tuple[tuple[str, ...], float]]:
        """Return the series: label values and count."""
        return self._values.items()

    def collect(self) -> Iterator[Metric]:
        """Yield the metric in Prometheus' form."""
        family = CounterMetricFamily(self._name, self._doc, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class Histogram(Collector):
    """A histogram with labels."""

    def __init__(self, name: str, doc: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> None:
        """Take `buckets`, the upper bounds in ascending order."""
        self._name, self._doc, self._labels = name, doc, labels
        self.bounds = buckets
        self._series: dict[tuple[str, ...], list[float]] = {} if labels else {(): self._new()}

    def _new(self) -> list[float]:
        """Return zeros: one count for each bucket and for +Inf, then the sum."""
        return [0.0] * (len(self.bounds) + 2)

    def add(self, value: float, *labels: str) -> None:
        """Observe a value of the series with these label values."""
        self.add_all((value,), *labels)

    def add_all(self, values: Sequence[float], *labels: str) -> None:
        """Observe values of the series with these label values."""
        if not values:
            return
        try:
            series = self._series[labels]
        except KeyError:
            series = self._series[labels] = self._new()
        bounds = self.bounds
        for value in values:
            series[bisect_left(bounds, value)] += 1
        series[-1] += sum(values)

    def items(self) -> Iterator[tuple[str, list[float]]]:
        """Yield each series by its first label value: its counts by bucket, and last the count of greater values."""
        for labels, series in self._series.items():
            yield labels[0] if labels else "", series[:-1]

    def by_name(self) -> dict[str, tuple[float, ...]]:
        """Return the counts of `items`, summed over all series with the same first label value."""
        found: dict[str, tuple[float, ...]] = {}
        for name, counts in self.items():
            known = found.get(name)
            found[name] = tuple(counts) if known is None else tuple(map(sum, zip(known, counts, strict=True)))
        return found

    def counts(self, *labels: str) -> dict[float, int]:
        """Return the counts by the upper bound of their bucket; greater values count in the last."""
        *counts, beyond, _ = self._series.get(labels) or self._new()
        counts[-1] += beyond
        return dict(zip(self.bounds, map(int, counts), strict=True))

    def collect(self) -> Iterator[Metric]:
        """Yield the metric in Prometheus' form."""
        family = HistogramMetricFamily(self._name, self._doc, labels=self._labels)
        names = [*map(floatToGoString, self.bounds), "+Inf"]
        for labels, series in self._series.items():
            below, buckets = 0.0, []
            for name, count in zip(names, series[:-1], strict=True):
                below += count
                buckets.append((name, below))
            family.add_metric(labels, buckets, series[-1])
        yield family


def quantile_ms(bounds: Iterable[float], counts: Sequence[float], share: float) -> float:
    """Return the time within which this share ended, in milliseconds, as if times were uniform inside a bucket.

    Values beyond all bounds count as the last bound.
    """
    wanted, below = share * sum(counts), 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if count and count >= wanted:
            return round(1000 * (below + (bound - below) * wanted / count), 3)
        wanted, below = wanted - count, bound
    return 1000 * below

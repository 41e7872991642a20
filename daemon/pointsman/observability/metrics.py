"""Count requests, and export metrics to Prometheus; the values of every label are bounded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pointsman.observability.definitions import Instruments
from pointsman.observability.recent import ModelTotals, RecentCounts, Totals
from pointsman.observability.record import Record
from pointsman.observability.usage import UsageCounts
from pointsman.routing.decision import Decision
from pointsman.routing.router import RoutedRequest

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series and are not used

# Of all keys that a process has seen, revoked ones included.
MAX_KEY_NAMES = 1000

# Counting requests together takes less time than each at its end.
COUNTED_AT_ONCE = 256


class Metrics(Instruments):
    """All metrics; the values of every label are bounded by the config."""

    def __init__(self, models: frozenset[str]) -> None:
        """Take `models`, the names allowed as a label value; any other name is counted as `other`."""
        super().__init__()
        self._models = models
        self._uncounted: list[Record] = []
        self.counted: Callable[[list[Record]], None] = lambda _: None
        """Called with requests once they are counted."""
        self._key_names: set[str] = set()
        self.usage = UsageCounts()
        self.registry = CollectorRegistry()
        self.registry.register(_ScrapeHook(self.settle))
        for instrument in self.all():
            self.registry.register(instrument)
        ProcessCollector(registry=self.registry)
        self.recent = RecentCounts(self._totals)
        self.in_flight = 0
        self.waiting = 0
        self.watch("requests_held", "Requests that wait for an endpoint (relay.hold_ms).", lambda: self.waiting)
        self.watch("requests_in_flight", "Requests in flight.", lambda: self.in_flight)

    def know(self, models: frozenset[str]) -> None:
        """Allow these names, too, as a label value."""
        self._models |= models

    def watch(self, name: str, doc: str, read: Callable[[], float]) -> None:
        """Register a gauge that calls `read` on each scrape."""
        Gauge(f"pointsman_{name}", doc, registry=self.registry).set_function(read)

    def build(self, **labels: str) -> None:
        """Register the gauge `build_info`, which is always 1."""
        Gauge("pointsman_build_info", "What runs here.", labels.keys(), registry=self.registry).labels(**labels).set(1)

    def watch_endpoints(self, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Register a gauge by endpoint that calls `read` on each scrape."""
        self.registry.register(_LabelledGauge("endpoint", name, doc, read))

    def watch_ports(self, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Register a gauge by port that calls `read` on each scrape."""
        self.registry.register(_LabelledGauge("port", name, doc, read))

    def watch_models(self, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Register a gauge by model that calls `read` on each scrape."""
        self.registry.register(_LabelledGauge("model", name, doc, read))

    def watch_categories(self, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Register a gauge by category that calls `read` on each scrape."""
        self.registry.register(_LabelledGauge("category", name, doc, read))

    def watch_modes(self, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Register a gauge by mode of routing that calls `read` on each scrape."""
        self.registry.register(_LabelledGauge("mode", name, doc, read))

    def watch_counters(self, read: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        """Register external counters; on each scrape `read` returns documentation and value by name."""
        self.registry.register(_Counters(read))

    def _totals(self) -> Totals:
        self.settle()
        decisions: Counter[tuple[str | None, str]] = Counter()
        for (reason, category, *_), count in self.decisions.items():
            decisions[category or None, str(reason)] += int(count)
        statuses: Counter[str] = Counter()
        for (_, status), count in self.requests.items():
            statuses[status] += int(count)
        runs, bounds = Counter(self.phase_seconds.counts("infer")), self.model_request_seconds.bounds
        return Totals(decisions, statuses, runs, self._model_totals(), bounds)

    def _model_totals(self) -> dict[str, ModelTotals]:
        """Return the counts by model, all sides of experiments together."""
        requests: Counter[str] = Counter()
        failed: Counter[str] = Counter()
        for (_, _, model, status, _), count in self.decisions.items():
            requests[model] += int(count)
            failed[model] += int(count) if status[0] == "5" else 0
        tokens: Counter[tuple[str, str]] = Counter()
        for (model, kind, _), count in self.tokens.items():
            tokens[model, kind] += int(count)
        first_bytes, wholes = self.model_first_byte_seconds.by_name(), self.model_request_seconds.by_name()
        zeros = (0.0,) * (len(self.model_request_seconds.bounds) + 1)
        return {
            name: ModelTotals(
                count,
                failed[name],
                tokens[name, "prompt"],
                tokens[name, "completion"],
                first_bytes.get(name, zeros),
                wholes.get(name, zeros),
            )
            for name, count in requests.items()
        }

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def count(self, record: Record) -> None:
        """Count a request that has ended, together with others, or before the metrics are read."""
        self._uncounted.append(record)
        if len(self._uncounted) >= COUNTED_AT_ONCE:
            self.settle()

    def settle(self) -> None:
        """Count all requests that have ended."""
        uncounted, self._uncounted = self._uncounted, []
        alike: defaultdict[tuple[Hashable, ...], list[Record]] = defaultdict(list)
        for record in uncounted:
            alike[_labels(record)].append(record)
        for records in alike.values():
            self._count(records)
        self.counted(uncounted)

    def _count(self, records: list[Record]) -> None:
        """Count requests that have the same labels: together they take half of the time."""
        one = records[0]
        status = str(one.status)
        seconds = [record.seconds for record in records]
        first_bytes = [record.first_byte for record in records if record.first_byte is not None]
        self.requests.add(one.path, status, by=len(records))
        self.request_seconds.add_all(seconds, one.path)
        self.first_byte_seconds.add_all(first_bytes, one.path)
        phases: defaultdict[str, list[float]] = defaultdict(list)
        for record in records:
            for phase, taken in record.phases.items():
                phases[phase].append(taken)
        for phase, all_taken in phases.items():
            self.phase_seconds.add_all(all_taken, phase)
        tokens = [record.tokens for record in records if record.tokens is not None]
        used = (sum([prompt for prompt, _ in tokens]), sum([spoken for _, spoken in tokens])) if tokens else None
        if one.routed is not None:
            model, arm = self._model(one.routed.decision), one.routed.decision.arm or ""
            if one.key is not None:
                failed = len(records) if one.status >= 500 else 0
                self.usage.add(one.key, model, requests=len(records), failed=failed, tokens=used or (0, 0))
            self.model_request_seconds.add_all(seconds, model, arm)
            self.model_first_byte_seconds.add_all(first_bytes, model, arm)
            self._count_decisions([record.routed for record in records if record.routed is not None], model, status)
            if used is not None:
                self.tokens.add(model, "prompt", arm, by=used[0])
                self.tokens.add(model, "completion", arm, by=used[1])
        if one.key is not None:
            self._count_key(one.key, status, len(records), used)

    def _count_key(self, key: str, status: str, requests: int, used: tuple[int, int] | None) -> None:
        if key not in self._key_names:
            if len(self._key_names) < MAX_KEY_NAMES:
                self._key_names.add(key)
            else:
                key = "other"
        self.key_requests.add(key, status, by=requests)
        if used is not None:
            self.key_tokens.add(key, "prompt", by=used[0])
            self.key_tokens.add(key, "completion", by=used[1])

    def _count_decisions(self, routed: list[RoutedRequest], model: str, status: str) -> None:
        decision = routed[0].decision
        category = decision.category or ""
        self.decisions.add(decision.reason, category, model, status, decision.arm or "", by=len(routed))
        if decision.would is not None:
            would = decision.would.model if decision.would.model in self._models else model
            self.withheld.add(decision.reason, category, would, by=len(routed))
        read = [(one.decision.confidence, found.cut) for one in routed if (found := one.classification) is not None]
        self.confidence.add_all([confidence for confidence, _ in read if confidence is not None])
        self.truncated.add(by=sum([cut for _, cut in read]))

    def _model(self, decision: Decision) -> str:
        """Return the label of the model in the decision."""
        if decision.model in self._models:
            return decision.model
        return decision.base_model if decision.base_model in self._models else "other"


def _labels(record: Record) -> tuple[Hashable, ...]:
    """Return the properties that requests counted in the same series have in common."""
    if record.routed is None:
        return record.path, record.status, record.key
    decision = record.routed.decision
    chosen = decision.reason, decision.category, decision.model, decision.base_model, decision.arm, decision.would
    return record.path, record.status, record.key, *chosen


class _ScrapeHook(Collector):
    """A collector that calls a function on each scrape; register it before the metrics that the function changes."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call

    def collect(self) -> Iterator[Metric]:
        self._call()
        return iter(())


class _Counters(Collector):
    def __init__(self, read: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for name, (doc, value) in self._read().items():
            yield CounterMetricFamily(f"pointsman_{name}", doc, value=value)


class _LabelledGauge(Collector):
    def __init__(self, label: str, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._label, self._name, self._doc, self._read = label, name, doc, read

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(f"pointsman_{self._name}", self._doc, labels=[self._label])
        for name, value in self._read().items():
            family.add_metric([name], value)
        yield family

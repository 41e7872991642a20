"""Define the Prometheus metrics of the service; the values of every label are bounded."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pointsman.observability import instruments
from pointsman.observability.recent import Recent, Totals
from pointsman.observability.record import Record
from pointsman.routing.decision import Decision
from pointsman.routing.router import Routed

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the number of series and are not used

_SHORT_BUCKETS = (5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_LONG_BUCKETS = (5.0, 10.0, 30.0, 60.0, 300.0)
_GAP_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, *_LONG_BUCKETS)
_CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_RESPONSE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
# Of all keys that a process has seen, revoked ones included.
MOST_KEY_NAMES = 1000

# Requests that are counted one after the other take less time than each at its end.
COUNTED_AT_ONCE = 256


class Metrics:
    """All metrics; the values of every label are bounded by the config."""

    def __init__(self, models: frozenset[str]) -> None:
        """`models` are the names allowed as a label value; any other name is counted as `other`."""
        self._models = models
        self._uncounted: list[Record] = []
        self.counted: Callable[[list[Record]], None] = lambda _: None
        """Called with requests once they are counted."""
        self._key_names: set[str] = set()
        self.registry = CollectorRegistry()
        self.registry.register(_Before(self.settle))
        self.requests = self._counter(
            "requests", "Answered requests; 499 means that the client disconnected.", "path", "status"
        )
        self.decisions = self._counter(
            "decisions",
            "Routing decisions, by reason and response status; those of an experiment by its arm, too.",
            "reason",
            "category",
            "model",
            "status",
            "arm",
        )
        self.confidence = self._histogram(
            "confidence",
            "Score of the best category, of requests whose text was classified.",
            _CONFIDENCE_BUCKETS,
        )
        self.withheld = self._counter(
            "withheld", "Requests that the rollout kept from the model that was chosen.", "reason", "category", "model"
        )
        self.shadow_texts = self._counter(
            "shadow_texts",
            "Texts for the classifier in shadow: agreed, differed (another category), shed (too many were waiting), "
            "failed.",
            "outcome",
        )
        self.shadow_pairs = self._counter(
            "shadow_pairs",
            "Texts on which the classifier in shadow differed, by what each chose; at most 200 pairs, then `*`.",
            "category",
            "shadow",
        )
        self.truncated = self._counter("truncated_prompts", "Prompts of which only head and tail were classified.")
        self.texts_dropped = self._counter("texts_dropped", "Texts that log.texts_file could not take in time.")
        self.spans_dropped = self._counter("spans_dropped", "Spans that the collector did not take, or not in time.")
        self.tokens = self._counter("tokens", "Prompt and completion tokens reported by vLLM.", "model", "kind", "arm")
        self.key_requests = self._counter(
            "key_requests",
            "Answered requests by client key, of at most 1,000 keys; others are `other`.",
            "key",
            "status",
        )
        self.key_tokens = self._counter(
            "key_tokens", "Prompt and completion tokens reported by vLLM, by client key.", "key", "kind"
        )
        self.left = self._counter(
            "clients_left",
            "Clients that disconnected early, by phase: queue (behind their previous request), body, classify, "
            "connect, hold (relay.hold_ms), head (waiting for vLLM's response head), stream, send (cut off because it "
            "did not read).",
            "phase",
        )
        self.refused = self._counter(
            "refused",
            "Requests and connections refused: in_flight, client (over its limit), connections, client_connections, "
            "memory (no room for the body), files (no descriptor for a connection to vLLM), header_timeout, "
            "body_timeout, malformed, tls (a handshake that failed), query_of_death (relay.quarantine), "
            "unknown_response (a stored response that the client does not have), unauthorized (no valid key), "
            "not_allowed (a model that the key may not use), key_requests, key_tokens, key_in_flight (limits of the "
            "key).",
            "reason",
        )
        self.retries = self._counter(
            "retries",
            "Requests retried because vLLM cannot have started them: connect (no connection), reused (idle connection "
            "was already closed), adapter (vLLM did not know the chosen adapter), model (nor the one that the client "
            "named).",
            "reason",
        )
        self.upstream_errors = self._counter("upstream_errors", "Failures of an endpoint.", "endpoint", "code")
        self.engine_deaths = self._counter(
            "engine_deaths", "Endpoints that failed a request and then did not answer.", "endpoint"
        )
        self.reloads = self._counter(
            "reloads",
            "Config reloads: applied, unchanged (nothing to apply), failed (the previous config stays in use).",
            "result",
        )
        self.adapter_changes = self._counter(
            "adapter_changes", "Adapters that were loaded, were unloaded, or failed to load.", "endpoint", "outcome"
        )
        self.task_failures = self._counter(
            "task_failures",
            "Failures of background tasks, each of which is restarted: timeouts, prober, poller, reloader, watcher, "
            "systemd, loop_lag, recent, traffic, stored_responses, shadow.",
            "task",
        )
        self.phase_seconds = self._histogram(
            "phase_seconds",
            "Time by phase: queue, tokenize, infer, decide, hold (relay.hold_ms), upstream (until vLLM's response "
            "head).",
            (*_SHORT_BUCKETS, *_LONG_BUCKETS),
            "phase",
        )
        self.first_byte_seconds = self._histogram(
            "first_byte_seconds",
            "Time from the request head to the first byte of vLLM's response.",
            _RESPONSE_BUCKETS,
            "path",
        )
        self.model_first_byte_seconds = self._histogram(
            "model_first_byte_seconds",
            "Time to the first byte of vLLM's response, by model, and by arm of an experiment.",
            _RESPONSE_BUCKETS,
            "model",
            "arm",
        )
        self.model_request_seconds = self._histogram(
            "model_request_seconds",
            "Duration of whole requests, by the model that was decided, and by arm of an experiment.",
            _RESPONSE_BUCKETS,
            "model",
            "arm",
        )
        self.chunk_gap_seconds = self._histogram(
            "chunk_gap_seconds", "Time between events of a stream, comments excluded.", _GAP_BUCKETS
        )
        self.request_seconds = self._histogram(
            "request_seconds", "Duration of whole requests.", _RESPONSE_BUCKETS, "path"
        )
        self.loop_lag_seconds = self._histogram("loop_lag_seconds", "Delay of the event loop.", _SHORT_BUCKETS)
        ProcessCollector(registry=self.registry)
        self.recent = Recent(self._totals)
        self.in_flight = 0
        self.held = 0
        self.watch("requests_held", "Requests that wait for an endpoint (relay.hold_ms).", lambda: self.held)
        self.watch("requests_in_flight", "Requests in flight.", lambda: self.in_flight)

    def know(self, models: frozenset[str]) -> None:
        """Allow these names, too, as a label value."""
        self._models |= models

    def _counter(self, name: str, doc: str, *labels: str) -> instruments.Counter:
        counter = instruments.Counter(f"pointsman_{name}", doc, labels)
        self.registry.register(counter)
        return counter

    def _histogram(self, name: str, doc: str, buckets: tuple[float, ...], *labels: str) -> instruments.Histogram:
        spread = instruments.Histogram(f"pointsman_{name}", doc, buckets, labels)
        self.registry.register(spread)
        return spread

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

    def watch_categories(self, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Register a gauge by category that calls `read` on each scrape."""
        self.registry.register(_LabelledGauge("category", name, doc, read))

    def watch_counters(self, read: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        """Register counters kept elsewhere; on each scrape `read` returns documentation and value by name."""
        self.registry.register(_Counters(read))

    def _totals(self) -> Totals:
        self.settle()
        decisions: Counter[tuple[str | None, str]] = Counter()
        for (reason, category, *_), count in self.decisions.items():
            decisions[category or None, str(reason)] += int(count)
        statuses: Counter[str] = Counter()
        for (_, status), count in self.requests.items():
            statuses[status] += int(count)
        return Totals(decisions, statuses, Counter(self.phase_seconds.counts("infer")))

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
        """Count requests that have the same labels: together they take half of the time of one by one."""
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
            if len(self._key_names) < MOST_KEY_NAMES:
                self._key_names.add(key)
            else:
                key = "other"
        self.key_requests.add(key, status, by=requests)
        if used is not None:
            self.key_tokens.add(key, "prompt", by=used[0])
            self.key_tokens.add(key, "completion", by=used[1])

    def _count_decisions(self, routed: list[Routed], model: str, status: str) -> None:
        decision = routed[0].decision
        category = decision.category or ""
        self.decisions.add(decision.reason, category, model, status, decision.arm or "", by=len(routed))
        if decision.would is not None:
            would = decision.would.model if decision.would.model in self._models else model
            self.withheld.add(decision.reason, category, would, by=len(routed))
        read = [(one.decision.confidence, one.classification.cut) for one in routed if one.classification is not None]
        self.confidence.add_all([confidence for confidence, _ in read if confidence is not None])
        self.truncated.add(by=sum([cut for _, cut in read]))

    def _model(self, decision: Decision) -> str:
        """Return the label of the model that was decided for."""
        if decision.model in self._models:
            return decision.model
        return decision.base_model if decision.base_model in self._models else "other"


def _labels(record: Record) -> tuple[Hashable, ...]:
    """Return what a request has in common with those that are counted in the same series."""
    if record.routed is None:
        return record.path, record.status, record.key
    decision = record.routed.decision
    chosen = decision.reason, decision.category, decision.model, decision.base_model, decision.arm, decision.would
    return record.path, record.status, record.key, *chosen


class _Before(Collector):
    """Call a function on each scrape; to be registered before what it changes."""

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

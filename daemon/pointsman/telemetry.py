"""Metrics, the log on stderr, and `Server-Timing`: never prompt text, never a key. And, where asked for, the texts."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, TypeVar

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pointsman.errors import CannotStart
from pointsman.lru import Lru
from pointsman.router import Routed

M = TypeVar("M", Counter, Histogram)

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double every series and nobody reads them

Level = Literal["debug", "info", "warning", "error"]
_SEVERITY = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Hashes of texts that are in the file already, 15 MB of them at most; one that is forgotten may come a second time.
KEPT_TEXTS = 100_000

_MILLISECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_ANSWERS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Log:
    """JSON lines."""

    def __init__(self, level: str = "info", stream: TextIO = sys.stderr) -> None:
        self._least = _SEVERITY[level]
        self._stream = stream
        self._held: list[str] = []

    def write(self, level: Level, event: str, **fields: Any) -> None:
        """One line; fields that are None are left out."""
        if _SEVERITY[level] >= self._least:
            self._held.append(_line(level, event, fields))
            self.flush()

    def soon(self, event: str, fields: dict[str, Any]) -> None:
        """The same at the level info, together with what else happens in this turn of the event loop: one write."""
        if self._least > _SEVERITY["info"]:
            return
        if not self._held:
            asyncio.get_running_loop().call_soon(self.flush)
        self._held.append(_line("info", event, fields))

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            lines = "".join(self._held)
            self._held.clear()
            self._stream.write(lines)
            self._stream.flush()


def _line(level: Level, event: str, fields: dict[str, Any]) -> str:
    now = time.time()
    stamp = f"{_second(int(now))}.{int(now % 1 * 1000):03d}+00:00"
    line: dict[str, Any] = {"ts": stamp, "level": level, "event": event}
    line |= {name: value for name, value in fields.items() if value is not None}
    return msgspec.json.encode(line).decode() + "\n"


@functools.lru_cache(1)
def _second(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))


class Texts:
    """The texts that an operator chose to keep: JSON lines `{"hash", "text"}` in a file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it; raises CannotStart."""
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.fchmod(self._file, 0o600)  # one that was there before may be open to others
        except OSError as error:
            raise CannotStart(
                f"pointsman.log.texts_file: {path} cannot be written ({error.strerror}); check path and permissions"
            ) from error
        self._kept: Lru[str, bool] = Lru(KEPT_TEXTS)

    def keep(self, text_hash: str, text: str) -> None:
        """Append a text, once; raises OSError."""
        if self._kept.get(text_hash) is None:
            os.write(self._file, msgspec.json.encode({"hash": text_hash, "text": text}) + b"\n")
            self._kept.put(text_hash, True)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


@dataclass(slots=True)
class Record:
    """What is known of one request, filled as it goes; one line and the metrics come out at its end."""

    request_id: str
    path: str
    started: float = field(default_factory=time.perf_counter)
    original_model: str | None = None
    routed: Routed | None = None
    endpoint: str | None = None
    status: int = 0
    phase: str = "body"
    upstream: float | None = None
    retried: list[dict[str, str]] = field(default_factory=list)
    tokens: tuple[int, int] | None = None
    error: str | None = None

    def phases(self) -> dict[str, float]:
        """Seconds by phase, as far as the request came."""
        seconds: dict[str, float] = {}
        if self.routed is not None:
            if self.routed.classification is not None:
                timing = self.routed.classification.timing
                seconds |= {"queue": timing.queue, "tokenize": timing.tokenize, "infer": timing.infer}
            seconds["decide"] = self.routed.decide
        if self.upstream is not None:
            seconds["upstream"] = self.upstream
        return seconds

    def server_timing(self) -> str:
        """The value of `Server-Timing`, durations in milliseconds."""
        return ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in self.phases().items())


class Metrics:
    """Prometheus metrics; every label's values are bounded by the config."""

    def __init__(self, models: frozenset[str]) -> None:
        """`models` are the names that may be a label; any other is `other`."""
        self._models = models
        self._children: dict[tuple[object, ...], Any] = {}
        self.registry = CollectorRegistry()
        self.requests = self._make(
            Counter,
            "requests",
            "Answered requests by path and status; 499 is a client that left.",
            "path",
            "status",
        )
        self.decisions = self._make(
            Counter, "decisions", "Decisions by reason, category and model.", "reason", "category", "model"
        )
        self.truncated = self._make(Counter, "truncated_prompts", "Prompts that were read only at head and tail.")
        self.tokens = self._make(Counter, "tokens", "Tokens that vLLM reported.", "model", "kind")
        self.left = self._make(
            Counter,
            "clients_left",
            "Clients that left before the end, by phase: queue (behind another request of theirs), body, classify, "
            "connect, head (of vLLM's answer), stream.",
            "phase",
        )
        self.refused = self._make(
            Counter,
            "refused",
            "Requests and connections refused unread: in_flight, connections, header_timeout, body_timeout, malformed.",
            "reason",
        )
        self.retries = self._make(
            Counter,
            "retries",
            "Requests sent again because vLLM cannot have started them: connect (no connection), reused (a connection "
            "that was idle had been closed).",
            "reason",
        )
        self.upstream_errors = self._make(Counter, "upstream_errors", "Failures of an endpoint.", "endpoint", "code")
        self.phase_seconds = Histogram(
            "pointsman_phase_seconds",
            "Time by phase; upstream is the time to vLLM's head.",
            ["phase"],
            buckets=_MILLISECONDS,
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "pointsman_request_seconds", "Whole requests.", ["path"], buckets=_ANSWERS, registry=self.registry
        )
        self.loop_lag_seconds = Histogram(
            "pointsman_loop_lag_seconds",
            "By how much the event loop was late.",
            buckets=_MILLISECONDS,
            registry=self.registry,
        )
        self.in_flight = 0
        self.watch("requests_in_flight", "Requests now being served.", lambda: self.in_flight)

    def _make(self, kind: type[Counter], name: str, doc: str, *labels: str) -> Counter:
        return kind(f"pointsman_{name}_total", doc, labels, registry=self.registry)

    def watch(self, name: str, doc: str, read: Callable[[], float]) -> None:
        """A gauge whose value is read when it is scraped."""
        Gauge(f"pointsman_{name}", doc, registry=self.registry).set_function(read)

    def watch_endpoints(self, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        """A gauge for each endpoint, read when it is scraped."""
        self.registry.register(_EndpointGauge(name, doc, read))

    def watch_counters(self, read: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        """Counters that are kept elsewhere: name to documentation and value, read when they are scraped."""
        self.registry.register(_Counters(read))

    def render(self) -> bytes:
        """The text exposition."""
        return generate_latest(self.registry)

    def count(self, record: Record) -> None:
        """Count a request at its end."""
        self._child(self.requests, record.path, str(record.status)).inc()
        self._child(self.request_seconds, record.path).observe(time.perf_counter() - record.started)
        for phase, seconds in record.phases().items():
            self._child(self.phase_seconds, phase).observe(seconds)
        if record.routed is not None:
            self._count_routed(record, record.routed)

    def _count_routed(self, record: Record, routed: Routed) -> None:
        decision = routed.decision
        model = next((name for name in (decision.model, decision.base_model) if name in self._models), "other")
        self._child(self.decisions, decision.reason, decision.category or "", model).inc()
        if routed.classification is not None:
            self.truncated.inc(routed.classification.cut)
        for kind, count in zip(("prompt", "completion"), record.tokens or (), strict=False):
            self._child(self.tokens, model, kind).inc(count)

    def _child(self, metric: M, *labels: str) -> M:
        """`metric.labels(*labels)`, remembered: there are few of them, and prometheus_client checks them each time."""
        key = (id(metric), *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child


class _Counters(Collector):
    def __init__(self, read: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for name, (doc, value) in self._read().items():
            yield CounterMetricFamily(f"pointsman_{name}", doc, value=value)


class _EndpointGauge(Collector):
    def __init__(self, name: str, doc: str, read: Callable[[], Mapping[str, float]]) -> None:
        self._name, self._doc, self._read = name, doc, read

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily(f"pointsman_{self._name}", self._doc, labels=["endpoint"])
        for endpoint, value in self._read().items():
            family.add_metric([endpoint], value)
        yield family


def request_fields(record: Record) -> dict[str, Any]:
    """The fields of a request's log line."""
    fields: dict[str, Any] = {
        "request_id": record.request_id,
        "path": record.path,
        "status": record.status,
        "original_model": record.original_model,
        "endpoint": record.endpoint,
        "error": record.error,
        "retried": record.retried or None,
    }
    if record.routed is not None:
        decision = record.routed.decision
        fields |= {
            "selected_model": decision.model,
            "category": decision.category,
            "confidence": None if decision.confidence is None else round(decision.confidence, 4),
            "reason": decision.reason,
            "reasoning": decision.reasoning,
            "edited": record.routed.edited.changed or None,
        }
        if record.routed.classification is not None:
            fields["text_hash"] = record.routed.classification.text_hash
    if record.tokens is not None:
        fields |= {"prompt_tokens": record.tokens[0], "completion_tokens": record.tokens[1]}
    if record.status == 499:
        fields["left_in"] = record.phase
    fields["ms"] = {name: round(seconds * 1000, 3) for name, seconds in record.phases().items()} | {
        "total": round((time.perf_counter() - record.started) * 1000, 3)
    }
    return fields

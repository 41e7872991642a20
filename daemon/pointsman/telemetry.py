"""Metrics, the log on stderr, and `Server-Timing`: never prompt text, never a key. And, where asked for, the texts."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TextIO

import msgspec
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pointsman.errors import CannotStart
from pointsman.lru import Lru
from pointsman.router import Routed
from pointsman.tally import Counts, Spread

disable_created_metrics()  # type: ignore[no-untyped-call]  # they double every series and nobody reads them

Level = Literal["debug", "info", "warning", "error"]
Line = dict[str, Any]
_SEVERITY = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Hashes of texts that are in the file already, 15 MB of them at most; one that is forgotten may come a second time.
KEPT_TEXTS = 100_000

_OURS = (5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
# A request's line is written with those that end within so many seconds: one system call for all of them.
HELD_SECONDS = 0.01
_LONGER = (5.0, 10.0, 30.0, 60.0, 300.0)
_GAPS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, *_LONGER)
_ANSWERS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Log:
    """JSON lines."""

    def __init__(self, level: str = "info", stream: TextIO = sys.stderr) -> None:
        self.set_level(level)
        self._stream = stream
        self._held: list[Line] = []
        self._encode = msgspec.json.Encoder().encode_lines

    def set_level(self, level: str) -> None:
        """The least severe that is written from now on."""
        self._least = _SEVERITY[level]

    def write(self, level: Level, event: str, **fields: Any) -> None:
        """One line; fields that are None are left out."""
        if _SEVERITY[level] >= self._least:
            self._held.append({"ts": _stamp(), "level": level, "event": event, **_known(fields)})
            self.flush()

    def soon(self, line: Line) -> None:
        """The same at the level info, at most HELD_SECONDS later."""
        if self._least > _SEVERITY["info"]:
            return
        if not self._held:
            asyncio.get_running_loop().call_later(HELD_SECONDS, self.flush)
        self._held.append(line)

    def flush(self) -> None:
        """Write what is held."""
        if self._held:
            lines, self._held = self._held, []
            self._stream.write(self._encode(lines).decode())
            self._stream.flush()


def _stamp() -> str:
    seconds, milliseconds = divmod(int(time.time() * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}+00:00"


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


class Record(msgspec.Struct):
    """What is known of one request, filled as it goes; one line and the metrics come out at its end."""

    request_id: str
    path: str
    started: float = msgspec.field(default_factory=time.perf_counter)
    original_model: str | None = None
    routed: Routed | None = None
    endpoint: str | None = None
    status: int = 0
    phase: str = "body"
    phases: dict[str, float] = msgspec.field(default_factory=dict)
    """Seconds by phase, as far as the request came."""
    first_byte: float | None = None
    """Seconds until the first byte of vLLM's body went on to the client."""
    retried: list[dict[str, str]] | None = None
    tokens: tuple[int, int] | None = None
    error: str | None = None
    seconds: float | None = None
    """Of the whole request, once it is over."""

    def decided(self, routed: Routed) -> None:
        """It is known where it goes."""
        self.routed = routed
        self.phases = routed.phases()

    def server_timing(self) -> str:
        """The value of `Server-Timing`, durations in milliseconds."""
        return ", ".join([f"{name};dur={seconds * 1000:.3f}" for name, seconds in self.phases.items()])


class Metrics:
    """Prometheus metrics; every label's values are bounded by the config."""

    def __init__(self, models: frozenset[str]) -> None:
        """`models` are the names that may be a label; any other is `other`."""
        self._models = models
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Answered requests; 499 is a client that left.", "path", "status")
        self.decisions = self._counter(
            "decisions", "Requests that were decided on, by their outcome.", "reason", "category", "model", "status"
        )
        self.truncated = self._counter("truncated_prompts", "Prompts that were read only at head and tail.")
        self.tokens = self._counter("tokens", "Tokens that vLLM reported.", "model", "kind")
        self.left = self._counter(
            "clients_left",
            "Clients that left before the end, by phase: queue (behind another request of theirs), body, classify, "
            "connect, head (of vLLM's answer), stream.",
            "phase",
        )
        self.refused = self._counter(
            "refused",
            "Requests and connections refused unread: in_flight, client (over its share), connections, header_timeout, "
            "body_timeout, malformed.",
            "reason",
        )
        self.retries = self._counter(
            "retries",
            "Requests sent again because vLLM cannot have started them: connect (no connection), reused (a connection "
            "that was idle had been closed), adapter (vLLM did not know the adapter that was chosen).",
            "reason",
        )
        self.upstream_errors = self._counter("upstream_errors", "Failures of an endpoint.", "endpoint", "code")
        self.reloads = self._counter(
            "reloads",
            "Reloads of the config: applied, unchanged (nothing to apply), failed (the one of before serves).",
            "result",
        )
        self.adapter_changes = self._counter(
            "adapter_changes", "Adapters loaded, unloaded, and failed to load.", "endpoint", "outcome"
        )
        self.phase_seconds = self._spread(
            "phase_seconds",
            "Time by phase: queue, tokenize, infer, decide; upstream is the time to vLLM's head.",
            (*_OURS, *_LONGER),
            "phase",
        )
        self.first_byte_seconds = self._spread(
            "first_byte_seconds", "From a request's head to the first byte of vLLM's answer.", _ANSWERS, "path"
        )
        self.chunk_gap_seconds = self._spread(
            "chunk_gap_seconds", "Between what comes of a stream; comments do not count.", _GAPS
        )
        self.request_seconds = self._spread("request_seconds", "Whole requests.", _ANSWERS, "path")
        self.loop_lag_seconds = self._spread("loop_lag_seconds", "By how much the event loop was late.", _OURS)
        ProcessCollector(namespace="pointsman", registry=self.registry)
        self.in_flight = 0
        self.watch("requests_in_flight", "Requests now being served.", lambda: self.in_flight)

    def know(self, models: frozenset[str]) -> None:
        """These names may be a label, too."""
        self._models |= models

    def _counter(self, name: str, doc: str, *labels: str) -> Counts:
        counter = Counts(f"pointsman_{name}", doc, labels)
        self.registry.register(counter)
        return counter

    def _spread(self, name: str, doc: str, buckets: tuple[float, ...], label: str | None = None) -> Spread:
        spread = Spread(f"pointsman_{name}", doc, buckets, label)
        self.registry.register(spread)
        return spread

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
        if record.seconds is None:
            record.seconds = time.perf_counter() - record.started
        self.requests.add(record.path, str(record.status))
        self.request_seconds.add(record.seconds, record.path)
        if record.first_byte is not None:
            self.first_byte_seconds.add(record.first_byte, record.path)
        for phase, seconds in record.phases.items():
            self.phase_seconds.add(seconds, phase)
        if record.routed is not None:
            self._count_routed(record, record.routed)

    def _count_routed(self, record: Record, routed: Routed) -> None:
        decision = routed.decision
        model = decision.model
        if model not in self._models:
            model = decision.base_model if decision.base_model in self._models else "other"
        self.decisions.add(decision.reason, decision.category or "", model, str(record.status))
        if routed.classification is not None:
            self.truncated.add(by=routed.classification.cut)
        if record.tokens is not None:
            self.tokens.add(model, "prompt", by=record.tokens[0])
            self.tokens.add(model, "completion", by=record.tokens[1])


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


def request_line(event: str, record: Record) -> Line:
    """What the log tells of a request, as it is now; what is not known is left out."""
    seconds = time.perf_counter() - record.started if record.seconds is None else record.seconds
    line: Line = {
        "ts": _stamp(),
        "level": "info",
        "event": event,
        "request_id": record.request_id,
        "path": record.path,
        "status": record.status,
        "original_model": record.original_model,
        "endpoint": record.endpoint,
        "error": record.error,
        "retried": record.retried,
    }
    if record.routed is not None:
        _add_decision(line, record.routed)
    if record.tokens is not None:
        line["prompt_tokens"], line["completion_tokens"] = record.tokens
    if record.status == 499:
        line["left_in"] = record.phase
    line["ms"] = ms = {name: _milliseconds(seconds) for name, seconds in record.phases.items()}
    ms["total"] = _milliseconds(seconds)
    return _known(line)


def _add_decision(line: Line, routed: Routed) -> None:
    decision = routed.decision
    line["selected_model"] = decision.model
    line["category"] = decision.category
    if decision.confidence is not None:
        line["confidence"] = round(decision.confidence, 4)
    line["reason"] = decision.reason
    line["reasoning"] = decision.reasoning
    line["edited"] = routed.edited.changed or None
    if routed.classification is not None:
        line["text_hash"] = routed.classification.text_hash


def _known(line: Line) -> Line:
    return {name: value for name, value in line.items() if value is not None}


def _milliseconds(seconds: float) -> float:
    """To a thousandth; `round` takes three times as long."""
    return int(seconds * 1e6 + 0.5) / 1000

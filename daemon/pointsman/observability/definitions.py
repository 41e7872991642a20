"""Define the counters and histograms of the service: name, documentation, and the names of the labels.

Gauges are read at their source: see `Metrics.watch` and `app/gauges`.
"""

# ruff: noqa: RUF009 - `counter()` and `histogram()` are `dataclasses.field()`
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from pointsman.observability.instruments import Counter, Histogram

_SHORT_BUCKETS = (5e-5, 1e-4, 2e-4, 5e-4, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)
_LONG_BUCKETS = (5.0, 10.0, 30.0, 60.0, 300.0)
_GAP_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, *_LONG_BUCKETS)
_CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_RESPONSE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


def counter(name: str, doc: str, *labels: str) -> Any:
    """Declare a counter, of which each instance of the class makes its own."""
    return field(default_factory=lambda: Counter(f"pointsman_{name}", doc, labels))


def histogram(name: str, doc: str, buckets: tuple[float, ...], *labels: str) -> Any:
    """Declare a histogram, of which each instance of the class makes its own."""
    return field(default_factory=lambda: Histogram(f"pointsman_{name}", doc, buckets, labels))


@dataclass(slots=True, eq=False)
class Instruments:
    """All counters and histograms, in the order of the output."""

    requests: Counter = counter(
        "requests", "Answered requests; 499 means that the client disconnected.", "path", "status"
    )
    decisions: Counter = counter(
        "decisions",
        "Routing decisions, by reason and response status; those of an experiment by its arm, too.",
        "reason",
        "category",
        "model",
        "status",
        "arm",
    )
    confidence: Histogram = histogram(
        "confidence",
        "Score of the best category, of requests whose text was classified.",
        _CONFIDENCE_BUCKETS,
    )
    withheld: Counter = counter(
        "withheld", "Requests that the rollout withheld from the model that was chosen.", "reason", "category", "model"
    )
    shadow_texts: Counter = counter(
        "shadow_texts",
        "Texts for the classifier in shadow: agreed, differed (another category), shed (too many were waiting), "
        "failed.",
        "outcome",
    )
    shadow_pairs: Counter = counter(
        "shadow_pairs",
        "Texts on which the classifier in shadow differed, by what each chose; at most 200 pairs, then `*`.",
        "category",
        "shadow",
    )
    truncated: Counter = counter("truncated_prompts", "Prompts of which only head and tail were classified.")
    texts_dropped: Counter = counter("texts_dropped", "Texts that log.texts_file could not take in time.")
    spans_dropped: Counter = counter("spans_dropped", "Spans that the collector did not take, or not in time.")
    tokens: Counter = counter("tokens", "Prompt and completion tokens reported by vLLM.", "model", "kind", "arm")
    key_requests: Counter = counter(
        "key_requests",
        "Answered requests by client key, of at most 1,000 keys; others are `other`.",
        "key",
        "status",
    )
    key_tokens: Counter = counter(
        "key_tokens", "Prompt and completion tokens reported by vLLM, by client key.", "key", "kind"
    )
    left: Counter = counter(
        "clients_left",
        "Clients that disconnected early, by phase: queue (waiting for their previous request), body, classify, "
        "connect, hold (relay.hold_ms), head (waiting for vLLM's response head), stream, send (cut off because it "
        "did not read).",
        "phase",
    )
    refused: Counter = counter(
        "refused",
        "Requests and connections refused: in_flight, client (over its limit), connections, client_connections, "
        "bodies (one of too many that were arriving), client_bodies (a client that has all of those), "
        "memory (no room for the body), files (no descriptor for a connection to vLLM), header_timeout, "
        "body_timeout, malformed, tls (a handshake that failed), query_of_death (relay.quarantine), "
        "unknown_response (a stored response that the client does not have), unauthorized (no valid key), "
        "not_allowed (a model that the key may not use), key_requests, key_tokens, key_in_flight (limits of the "
        "key).",
        "reason",
    )
    retries: Counter = counter(
        "retries",
        "Requests retried because vLLM cannot have started them: connect (no connection), reused (idle connection "
        "was already closed), adapter (vLLM did not know the chosen adapter), model (nor the one that the client "
        "named), queue_full (vLLM's queue).",
        "reason",
    )
    upstream_errors: Counter = counter("upstream_errors", "Failures of an endpoint.", "endpoint", "code")
    engine_deaths: Counter = counter(
        "engine_deaths", "Endpoints that failed a request and then did not answer.", "endpoint"
    )
    reloads: Counter = counter(
        "reloads",
        "Config reloads: applied, unchanged (nothing to apply), failed (the previous config stays in use).",
        "result",
    )
    adapter_changes: Counter = counter(
        "adapter_changes", "Adapters that were loaded, were unloaded, or failed to load.", "endpoint", "outcome"
    )
    task_failures: Counter = counter(
        "task_failures",
        "Failures of background tasks, each of which is restarted: timeouts, prober, poller, reloader, watcher, "
        "systemd, loop_lag, recent, traffic, models, stored_responses, shadow.",
        "task",
    )
    phase_seconds: Histogram = histogram(
        "phase_seconds",
        "Time by phase: queue, tokenize, infer, follow_up (read with what was before), decide, hold (relay.hold_ms), "
        "upstream (until vLLM's response head).",
        (*_SHORT_BUCKETS, *_LONG_BUCKETS),
        "phase",
    )
    first_byte_seconds: Histogram = histogram(
        "first_byte_seconds",
        "Time from the request head to the first byte of vLLM's response.",
        _RESPONSE_BUCKETS,
        "path",
    )
    model_first_byte_seconds: Histogram = histogram(
        "model_first_byte_seconds",
        "Time to the first byte of vLLM's response, by model, and by arm of an experiment.",
        _RESPONSE_BUCKETS,
        "model",
        "arm",
    )
    model_request_seconds: Histogram = histogram(
        "model_request_seconds",
        "Duration of whole requests, by the model that was decided, and by arm of an experiment.",
        _RESPONSE_BUCKETS,
        "model",
        "arm",
    )
    chunk_gap_seconds: Histogram = histogram(
        "chunk_gap_seconds", "Time between events of a stream, comments excluded.", _GAP_BUCKETS
    )
    request_seconds: Histogram = histogram("request_seconds", "Duration of whole requests.", _RESPONSE_BUCKETS, "path")
    loop_lag_seconds: Histogram = histogram("loop_lag_seconds", "Delay of the event loop.", _SHORT_BUCKETS)

    def all(self) -> Iterator[Counter | Histogram]:
        """Yield each instrument."""
        return (getattr(self, one.name) for one in fields(self))

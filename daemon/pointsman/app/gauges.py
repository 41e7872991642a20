"""Define the metrics that are read from the current generation on each scrape."""

from __future__ import annotations

import asyncio
import functools
import math
import platform
from collections.abc import Callable, Iterable, Mapping, Sized

from pointsman import __version__
from pointsman.adapters.inventory import counts
from pointsman.app.generation import Generation
from pointsman.app.model_watch import ModelWatch
from pointsman.classify.encoder import Encoder
from pointsman.observability.log import Log
from pointsman.observability.metrics import Metrics
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.thresholds import expected_confidence
from pointsman.server.byte_budget import ByteBudget
from pointsman.server.listener import Listener
from pointsman.upstream.endpoint_state import EndpointState


def watch(metrics: Metrics, log: Log, stored: StoredResponses, current: Callable[[], Generation]) -> None:
    """Register gauges and counters for the log, the stored responses and the generation that `current` returns."""
    doc = "Lines of the log that were dropped because stderr was not read or could not be written."
    metrics.watch_counters(lambda: {"log_lines_dropped": (doc, log.dropped)})
    metrics.watch("stored_responses", "Stored responses whose client and endpoint are known.", lambda: len(stored))
    metrics.build(version=__version__, python=platform.python_version())
    _classifier(metrics, lambda: current().classifier.encoder)
    doc = "Mean of `confidence` over the classifier's calibration rows; NaN if it has none."
    metrics.watch("confidence_expected", doc, lambda: _expected(current()))
    doc = "1 while the classifier in shadow reads texts, 0 while it is loaded or has stopped; NaN if there is none."
    metrics.watch("shadow_up", doc, lambda: _shadow_up(current()))
    _endpoints(metrics, lambda: current().balancer.all)
    _adapters(metrics, current)
    doc = "When the certificate of a port that speaks TLS expires."
    metrics.watch_ports("certificate_expires_timestamp_seconds", doc, lambda: _expiries(current()))


def _expiries(generation: Generation) -> dict[str, float]:
    certificates = {"data": generation.certificate, "admin": generation.admin_certificate}
    return {port: found.ends for port, found in certificates.items() if found is not None}


def watch_listener(metrics: Metrics, data: Listener, budget: ByteBudget, arrivals: Sized) -> None:
    """Register gauges and counters for the data port and the bytes of its requests."""
    metrics.watch("connections", "Clients' connections to the data port.", lambda: len(data.connections))
    metrics.watch("buffered_bytes", "Bytes of requests in memory, reserved or arrived.", lambda: budget.used)
    metrics.watch("bodies_arriving", "Requests whose bodies are not whole yet.", lambda: len(arrivals))
    metrics.watch("bodies_waiting", "Request bodies that wait unread for room in memory.", lambda: budget.waiting)
    evicted = "Idle connections closed to make room for others."
    metrics.watch_counters(lambda: {"connections_evicted": (evicted, data.evicted)})


def watch_models(metrics: Metrics, models: ModelWatch, endpoints: Callable[[], Iterable[str]]) -> None:
    """Register gauges for the models, and the endpoints, that fail or are slow."""
    for what, doc in (("failing", "fails far more often"), ("slow", "answers far more slowly")):
        by_model = functools.partial(models.models, what)
        metrics.watch_models(f"model_{what}", f"1 while the model {doc} than others.", by_model)
        by_endpoint = functools.partial(models.endpoints, what, endpoints)
        most = f"1 while most models of the endpoint are {what}; what is its fault is said of no model."
        metrics.watch_endpoints(f"endpoint_models_{what}", most, by_endpoint)


def _classifier(metrics: Metrics, current: Callable[[], Encoder]) -> None:
    def read() -> dict[str, tuple[str, float]]:
        encoder = current()
        counts, lookups = encoder.counts, encoder.lookups
        return {
            "classifier_cache_hits": ("Texts whose classification was in the cache.", lookups.hits),
            "classifier_cache_misses": ("Texts that needed a run.", lookups.misses),
            "classifier_cache_coalesced": ("Texts that shared the run of an identical one.", lookups.coalesced),
            "classifier_cache_evictions": ("Classifications evicted from the cache.", encoder.evicted),
            "classifier_runs": ("Runs of the classifier.", counts.runs),
            "classifier_run_texts": ("Texts in these runs.", counts.texts),
            "classifier_run_tokens": ("Tokens in these runs, estimated from the texts.", counts.tokens),
            "classifier_shed": ("Texts refused because the deadline could not be met.", counts.shed),
            "classifier_dropped": ("Texts dropped because all their clients had gone.", counts.dropped),
        }

    metrics.watch("classifier_queue", "Texts waiting for a worker.", lambda: current().queued)

    metrics.watch_counters(read)


def _expected(generation: Generation) -> float:
    classifier = generation.classifier
    found = expected_confidence(generation.config, classifier.labels, classifier.calibration)
    return math.nan if found is None else found


def _shadow_up(generation: Generation) -> float:
    return math.nan if generation.shadow is None else float(generation.shadow.state == "running")


def _endpoints(metrics: Metrics, current: Callable[[], Mapping[str, EndpointState]]) -> None:
    def each(name: str, doc: str, read: Callable[[EndpointState], float]) -> None:
        metrics.watch_endpoints(name, doc, lambda: {key: read(upstream) for key, upstream in current().items()})

    each("endpoint_up", "1 while the endpoint gets requests.", lambda up: up.healthy(asyncio.get_running_loop().time()))
    each("endpoint_reachable", "1 while its `/health` answers.", lambda up: up.reachable)
    each("endpoint_key_refused", "1 while it refuses the service's key.", lambda up: not up.key_accepted)
    each("endpoint_breaker_open", "1 while its circuit breaker is open.", lambda up: up.breaker.opened)
    each("endpoint_in_flight", "Requests in flight at the endpoint.", lambda up: up.in_flight)


def _adapters(metrics: Metrics, current: Callable[[], Generation]) -> None:
    def each(index: int) -> Callable[[], dict[str, float]]:
        def read() -> dict[str, float]:
            generation = current()
            return {name: counted[index] for name, counted in counts(generation.config, generation.poller).items()}

        return read

    metrics.watch_endpoints("adapters_configured", "Adapters configured for the endpoint.", each(0))
    metrics.watch_endpoints("adapters_served", "Configured adapters that the endpoint serves.", each(1))

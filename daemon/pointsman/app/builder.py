"""Build the parts of a config, and connect them to the parts shared by all generations."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from pointsman.adapters.loader import Loader
from pointsman.adapters.poller import Poller
from pointsman.api.backend import Backend
from pointsman.app.descriptors import client_connections, raise_limit
from pointsman.app.generation import Generation
from pointsman.app.prepare import PreparedConfig
from pointsman.app.shadow import ShadowClassifier
from pointsman.classify.classifier import Classifier
from pointsman.config.address import UNIX_PEERS, network
from pointsman.config.model import Config, LogOptions, ServerOptions, TracingOptions
from pointsman.config.overlay import UnloadedAdapter
from pointsman.errors import CannotStart
from pointsman.experiments.canary_monitor import CanaryMonitor
from pointsman.improve.texts_file import TextsFile
from pointsman.observability.answers import Answer, Answers
from pointsman.observability.feedback_file import FeedbackFile, FeedbackLine
from pointsman.observability.log import Log
from pointsman.observability.log_line import Level
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.observability.spans import Spans
from pointsman.proxy.admission import Admission
from pointsman.proxy.forward import Forwarder
from pointsman.proxy.health_reporter import HealthReporter
from pointsman.proxy.key_limiter import KeyLimiter
from pointsman.proxy.outage_queue import configured_outage_queue
from pointsman.proxy.quarantine import Quarantine
from pointsman.proxy.recorder import Recorder
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.proxy.timeouts import Timeouts
from pointsman.proxy.upstreams import Upstreams
from pointsman.routing.router import Router
from pointsman.server.arrivals import Arrivals
from pointsman.server.client import TrustedProxies
from pointsman.server.client_limiter import ClientLimiter
from pointsman.server.limits import ConnectionLimits
from pointsman.server.request import Request
from pointsman.upstream.key_check import checked_models
from pointsman.upstream.load_balancer import LoadBalancer
from pointsman.upstream.vllm_admin import LoraApi


class _EndpointServices(NamedTuple):
    """The parts that know the endpoints: their state, the models that they serve, and those that they should serve."""

    balancer: LoadBalancer
    poller: Poller
    loader: Loader


class GenerationBuilder:
    """A builder of generations that share the log, the metrics, the limits per client and all memories."""

    def __init__(self, log: Log, metrics: Metrics, stored: StoredResponses, hash_key: bytes) -> None:
        self._log = log
        self._metrics = metrics
        self._stored = stored
        self._limiter = ClientLimiter()
        self.arrivals: Arrivals[Request] = Arrivals()
        """The requests whose bodies are arriving."""
        self._key_limiter = KeyLimiter(asyncio.get_running_loop().time)
        self._quarantine = Quarantine(asyncio.get_running_loop().time)
        self.answers = Answers(hash_key)
        """The answers that clients may judge."""
        self.rated: Callable[[Answer, FeedbackLine], object] = lambda *_: None
        """Called with each answer that a client has judged."""
        self._started = time.time()
        self.canary_monitor = CanaryMonitor()
        """The canaries of all generations."""
        self.unloaded: dict[str, UnloadedAdapter] = {}
        """The data by which adapters that were unloaded by hand can be loaded again."""

    def build(self, prepared: PreparedConfig, previous: Generation | None) -> Generation:
        """Build the parts of a config, and reuse those of `previous` that are the same; raises CannotStart."""
        config = prepared.config
        # These may fail; later steps take over shared parts and must not fail.
        limits = self._limits(config.pointsman.server)
        texts, feedback = self._data_files(config.pointsman.log, previous)
        self._key_limiter.know(key.name for key in prepared.keys or ())
        before = None if previous is None else previous.classifier
        if before is None or (before.encoder, before.name) != (prepared.classifier.encoder, prepared.classifier.name):
            self._log_classifier(prepared.classifier)
        vllms = self._vllms(prepared, previous)
        poller = vllms.poller
        router = Router(
            config,
            prepared.classifier,
            lambda: poller.served,
            previous.backend.router if previous else None,
        )
        shadow = self._shadow(prepared, previous)
        compare = None if shadow is None else functools.partial(shadow.offer, router, texts=texts)
        timeouts = Timeouts(config.pointsman.relay, self._metrics.chunk_gap_seconds.add)
        forwarder = self._forwarder(prepared, vllms, timeouts)
        return Generation(
            config=config,
            limits=limits,
            backend=Backend(config, router, poller, forwarder, texts, self._started, prepared.keys, feedback, compare),
            admission=Admission(
                config.pointsman.server,
                self._limiter,
                self._key_limiter,
                self.arrivals,
                limits.max_arriving,
                self._metrics,
            ),
            recorder=self._recorder(config, feedback, previous),
            poller=poller,
            loader=vllms.loader,
            balancer=vllms.balancer,
            timeouts=timeouts,
            key_line=prepared.key_line,
            admin_token=prepared.admin_token,
            certificate=prepared.certificate,
            admin_certificate=prepared.admin_certificate,
            shadow=shadow,
        )

    def _vllms(self, prepared: PreparedConfig, previous: Generation | None) -> _EndpointServices:
        """Return the parts that know the endpoints, with the knowledge of `previous` about unchanged ones."""
        config, key_line, theirs = prepared.config, prepared.key_line, _clients_credentials(prepared)
        balancer = LoadBalancer(
            config.vllm_endpoints,
            config.pointsman.relay,
            self._report,
            previous.balancer.all if previous else None,
        )
        poller = Poller(
            config.vllm_endpoints,
            lambda endpoint: checked_models(balancer, endpoint.name, key_line, clients_keys=theirs),
            self._report,
            previous.poller if previous else None,
        )
        loader = Loader(config, poller, LoraApi(balancer.all, key_line), self._adapter_changed, self.unloaded)
        balancer.on_health_change = loader.health_changed
        balancer.on_dead = self._dead
        return _EndpointServices(balancer, poller, loader)

    def _forwarder(self, prepared: PreparedConfig, vllms: _EndpointServices, timeouts: Timeouts) -> Forwarder:
        balancer, poller = vllms.balancer, vllms.poller
        options, loop, theirs = prepared.config.pointsman, asyncio.get_running_loop(), _clients_credentials(prepared)
        upstreams = Upstreams(
            balancer,
            poller,
            timeouts,
            HealthReporter(balancer, self._metrics, loop, None if theirs else poller.wake),
            self._metrics,
            loop,
            prepared.key_line,
            theirs,
            self._quarantine if options.relay.quarantine else None,
            self._stored,
        )
        return Forwarder(upstreams, configured_outage_queue(options, balancer, self._metrics))

    def _recorder(self, config: Config, feedback: FeedbackFile | None, previous: Generation | None) -> Recorder:
        return Recorder(
            self._metrics,
            self._log,
            config.pointsman.log.requests,
            self._watch(config),
            None if feedback is None else self.answers,
            self._spans(config.pointsman.tracing, previous),
        )

    def _limits(self, server: ServerOptions) -> ConnectionLimits:
        """Return the limits on clients; raises CannotStart."""
        files = raise_limit()
        connections = client_connections(server, files)
        if connections < server.max_connections:
            self._log.write(
                "warning",
                "files",
                message=f"at most {connections} client connections, not {server.max_connections} (max_connections), as "
                f"this process may open {files} files; raise LimitNOFILE (ulimit -Hn)",
            )
        return ConnectionLimits(
            header_timeout=server.header_timeout_ms / 1000,
            send_timeout=server.send_timeout_ms / 1000,
            max_body_bytes=server.max_body_bytes,
            max_connections=connections,
            max_connections_per_client=server.max_connections_per_client,
            proxies=_trusted(server.trusted_proxies),
        )

    def _watch(self, config: Config) -> Callable[[Record], None] | None:
        tried = any(one.canary is not None for one in config.pointsman.routing.categories.values())
        return self.canary_monitor.observe if tried else None

    def _data_files(
        self, options: LogOptions, previous: Generation | None
    ) -> tuple[TextsFile | None, FeedbackFile | None]:
        """Return the files of texts and of feedback; raises CannotStart, with no file left open."""
        texts = self._texts(options, previous)
        try:
            return texts, self._feedback(options.feedback_file, previous)
        except CannotStart:
            if texts is not None and (previous is None or texts is not previous.texts):
                texts.close()
            raise

    def _texts(self, options: LogOptions, previous: Generation | None) -> TextsFile | None:
        """Return the file of texts, which stays open if its options are the same; raises CannotStart."""
        if previous is not None and _about_texts(previous.config.pointsman.log) == _about_texts(options):
            return previous.texts
        return None if options.texts_file is None else TextsFile(options, self._log, self._metrics.texts_dropped.add)

    def _feedback(self, file: str | None, previous: Generation | None) -> FeedbackFile | None:
        """Return the file of feedback, which stays open if it is the same; raises CannotStart."""
        if previous is not None and previous.config.pointsman.log.feedback_file == file:
            return previous.feedback
        return None if file is None else FeedbackFile(Path(file), self._log, self.answers, self.rated)

    def _spans(self, options: TracingOptions, previous: Generation | None) -> Spans | None:
        """Return the exporter of spans, which is reused if its options are the same."""
        if previous is not None and previous.config.pointsman.tracing == options:
            return previous.recorder.spans
        return None if options.endpoint is None else Spans(options, self._log, self._metrics.spans_dropped.add)

    def _shadow(self, prepared: PreparedConfig, previous: Generation | None) -> ShadowClassifier | None:
        """Return the classifier in shadow, which is reused if possible."""
        if prepared.config.pointsman.classifier.shadow is None:
            return None
        known = None if previous is None else previous.shadow
        if known is not None and known.still_serves(prepared):
            return known
        return ShadowClassifier(prepared, self._log, self._metrics)

    def _report(self, endpoint: str, state: str, well: bool) -> None:
        self._log.write("info" if well else "warning", "endpoint", endpoint=endpoint, state=state)

    def _dead(self, endpoint: str) -> None:
        refused = self._quarantine.dead(endpoint)
        if refused is None:
            return
        self._metrics.engine_deaths.add(endpoint)
        for suspect in refused:
            self._log.write("warning", "query_of_death", endpoint=endpoint, request_id=suspect.request_id)

    def _adapter_changed(self, endpoint: str, adapter: str, outcome: str, error: str | None) -> None:
        self._metrics.adapter_changes.add(endpoint, outcome)
        level: Level = "info" if error is None else "warning"
        self._log.write(level, "adapter", endpoint=endpoint, adapter=adapter, state=outcome, error=error)

    def _log_classifier(self, classifier: Classifier) -> None:
        for note in classifier.encoder.notes:
            self._log.write("warning", "classifier", message=note)
        self._log.write("info", "classifier", **classifier.settings())


def _clients_credentials(prepared: PreparedConfig) -> bool:
    """Return whether vLLM gets the clients' own credentials, as we have no key for it."""
    return prepared.config.pointsman.relay.forward_authorization and not prepared.key_line


def _trusted(given: Sequence[str]) -> TrustedProxies:
    return TrustedProxies(tuple(network(text) for text in given if text != UNIX_PEERS), UNIX_PEERS in given)


def _about_texts(log: LogOptions) -> tuple[object, ...]:
    return log.texts_file, log.texts_file_bytes, log.texts_files, log.texts_share, log.texts_redact

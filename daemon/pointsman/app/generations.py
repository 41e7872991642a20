"""Switch from one config to the next; a request keeps the config it began with."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pointsman.adapters.loader import Loader
from pointsman.adapters.poller import Poller
from pointsman.api.data import Backend
from pointsman.app.descriptors import client_connections, raise_limit
from pointsman.app.generation import Generation
from pointsman.app.prepare import Prepared
from pointsman.app.supervisor import Supervisor
from pointsman.classify.classifier import Classifier
from pointsman.config.address import network
from pointsman.config.model import Config, ServerOptions
from pointsman.observability.log import Log
from pointsman.observability.log_line import Level
from pointsman.observability.metrics import Metrics
from pointsman.observability.texts import KeptTexts
from pointsman.proxy.admission import Admission
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forward import Forwarder
from pointsman.proxy.health_reporter import HealthReporter
from pointsman.proxy.hold import configured_hold
from pointsman.proxy.quarantine import Quarantine
from pointsman.proxy.recorder import Recorder
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.proxy.timeouts import Timeouts
from pointsman.proxy.upstreams import Upstreams
from pointsman.routing.router import Router
from pointsman.server.byte_budget import ByteBudget
from pointsman.server.client_limiter import ClientLimiter
from pointsman.server.limits import Limits
from pointsman.server.request import Request
from pointsman.upstream import client
from pointsman.upstream.endpoint_state import EndpointState
from pointsman.upstream.key_check import checked_models
from pointsman.upstream.load_balancer import LoadBalancer
from pointsman.upstream.vllm_admin import LoraApi

# Requests depend on these tasks: without them, responses have no time limit, and nobody finds out which endpoints are
# up and what they serve.
NEEDED = ("timeouts", "prober", "poller")


class Generations:
    """Manage the generation for new requests, `current`, and older ones that still have requests.

    Use from one event loop; call `close` at the end.
    """

    def __init__(self, prepared: Prepared, log: Log) -> None:
        """Build the first generation; raises CannotStart."""
        self.metrics = Metrics(_names(prepared.config))
        self.log = log
        self.supervisor = Supervisor(log, self.metrics.task_failures.add)
        self.budget = ByteBudget(prepared.config.pointsman.server.buffered_bytes)
        self._limiter = ClientLimiter()
        self._quarantine = Quarantine(asyncio.get_running_loop().time)
        self.stored = StoredResponses(time.time)
        self._started = time.time()
        self._in_use: dict[Generation, _Use] = {}
        self._polling: list[asyncio.Task[None]] = []
        self.current = self._begin(self._build(prepared, None))

    def exchange(self, request: Request, path: str) -> tuple[Backend, Exchange]:
        """Begin an exchange on the current generation, which is kept until the exchange ends."""
        generation = self.current
        release = self.hold()
        return generation.backend, Exchange(request, path, generation.admission, generation.recorder, release)

    def hold(self) -> Callable[[], None]:
        """Keep the current generation in use until the returned function is called."""
        use = self._in_use[self.current]
        use.requests += 1
        return use.release

    def trouble(self) -> str | None:
        """Return why this service should get no requests, or None."""
        if not self.current.classifier.healthy:
            return "the classifier stopped; restart the service"
        if not any(endpoint.key_accepted for endpoint in self.current.balancer.all.values()):
            return "no endpoint accepts the key in pointsman.relay.api_key_file; see the log"
        task = self.supervisor.down(*NEEDED)
        return None if task is None else f"the background task {task} fails again and again; see the log"

    def swap(self, prepared: Prepared) -> None:
        """Use another config for new requests; raises CannotStart, and then nothing has changed."""
        before, generation = self.current, self._build(prepared, self.current)
        for task in self._polling:
            task.cancel()
        self.metrics.know(_names(generation.config))
        self.budget.resize(generation.config.pointsman.server.buffered_bytes)
        self.current = self._begin(generation)
        self.log.set_level(prepared.config.pointsman.log.level)
        if not self._in_use[before].requests:
            self._end(before)

    async def close(self) -> None:
        """Stop all background tasks and close all parts; requests in flight are lost."""
        await self.supervisor.close()
        for generation in list(self._in_use):
            self._end(generation)

    def _release(self, generation: Generation) -> None:
        """Count one request of `generation` less, and close an old generation after its last."""
        use = self._in_use[generation]
        use.requests -= 1
        if not use.requests and generation is not self.current:
            self._end(generation)

    def _build(self, prepared: Prepared, previous: Generation | None) -> Generation:
        config, key_line = prepared.config, prepared.key_line
        relay, server = config.pointsman.relay, config.pointsman.server
        credentials = relay.forward_authorization and not key_line
        # These may fail; what follows takes over shared parts and must not.
        limits = self._limits(server)
        texts = _texts(config, previous)
        balancer = LoadBalancer(config.vllm_endpoints, relay, self._report, previous.balancer.all if previous else None)
        poller = Poller(
            config.vllm_endpoints,
            lambda endpoint: checked_models(balancer, endpoint.name, key_line, clients_keys=credentials),
            self._report,
            previous.poller if previous else None,
        )
        loader = Loader(config, poller, LoraApi(balancer.all, key_line), self._adapter_changed)
        balancer.on_health_change = loader.health_changed
        balancer.on_dead = self._dead
        router = Router(
            config, prepared.classifier, lambda: poller.served, previous.backend.router if previous else None
        )
        timeouts = Timeouts(relay, self.metrics.chunk_gap_seconds.add)
        if previous is None or previous.classifier is not prepared.classifier:
            self._log_classifier(prepared.classifier)
        loop = asyncio.get_running_loop()
        upstreams = Upstreams(
            balancer,
            poller,
            timeouts,
            HealthReporter(balancer, self.metrics, loop, None if credentials else poller.wake),
            self.metrics,
            loop,
            key_line,
            credentials,
            self._quarantine if relay.quarantine else None,
            self.stored,
        )
        forwarder = Forwarder(upstreams, configured_hold(config.pointsman, balancer, self.metrics))
        return Generation(
            config=config,
            limits=limits,
            backend=Backend(config, router, poller, forwarder, texts, self.log, self._started),
            admission=Admission(server, self._limiter, self.metrics),
            recorder=Recorder(self.metrics, self.log, config.pointsman.log.requests),
            poller=poller,
            loader=loader,
            balancer=balancer,
            timeouts=timeouts,
            key_line=key_line,
        )

    def _limits(self, server: ServerOptions) -> Limits:
        """Return the limits on clients; raises CannotStart."""
        files = raise_limit()
        connections = client_connections(server, files)
        if connections < server.max_connections:
            self.log.write(
                "warning",
                "files",
                message=f"at most {connections} client connections, not {server.max_connections} (max_connections), as "
                f"this process may open {files} files; raise LimitNOFILE (ulimit -Hn)",
            )
        return Limits(
            header_timeout=server.header_timeout_ms / 1000,
            send_timeout=server.send_timeout_ms / 1000,
            max_body_bytes=server.max_body_bytes,
            max_connections=connections,
            max_connections_per_client=server.max_connections_per_client,
            trusted=tuple(map(network, server.trusted_proxies)),
        )

    def _begin(self, generation: Generation) -> Generation:
        release = functools.partial(self._release, generation)
        start = self.supervisor.start
        self._in_use[generation] = _Use(start("timeouts", generation.timeouts.run), release)
        options, poller, balancer = generation.config.pointsman, generation.poller, generation.balancer
        self._polling = []
        if interval := options.adapters.poll_interval_ms:
            for endpoint in poller.endpoints:
                poll = functools.partial(poller.run, endpoint, interval / 1000, generation.loader.settle)
                self._polling.append(start("poller", poll, endpoint=endpoint.name))
        if interval := options.relay.health_interval_ms:
            for name, upstream in balancer.all.items():
                ask = functools.partial(client.health, key_line=generation.key_line)
                probe = functools.partial(balancer.probe, upstream, ask, interval / 1000)
                self._polling.append(start("prober", probe, endpoint=name))
        return generation

    def _end(self, generation: Generation) -> None:
        """Close the parts of a generation that no other generation uses."""
        self._in_use.pop(generation).timeouts.cancel()
        kept = {part for other in self._in_use for part in _parts(other)}
        for part in _parts(generation):
            if part in kept:
                continue
            if isinstance(part, Classifier):  # closing may wait for a run
                asyncio.get_running_loop().run_in_executor(None, part.close)
            else:
                part.close()

    def _report(self, endpoint: str, state: str) -> None:
        self.log.write("info", "endpoint", endpoint=endpoint, state=state)

    def _dead(self, endpoint: str) -> None:
        refused = self._quarantine.dead(endpoint)
        if refused is None:
            return
        self.metrics.engine_deaths.add(endpoint)
        for suspect in refused:
            self.log.write("warning", "query_of_death", endpoint=endpoint, request_id=suspect.request_id)

    def _adapter_changed(self, endpoint: str, adapter: str, outcome: str, error: str | None) -> None:
        self.metrics.adapter_changes.add(endpoint, outcome)
        level: Level = "info" if error is None else "warning"
        self.log.write(level, "adapter", endpoint=endpoint, adapter=adapter, state=outcome, error=error)

    def _log_classifier(self, classifier: Classifier) -> None:
        for note in classifier.notes:
            self.log.write("warning", "classifier", message=note)
        self.log.write("info", "classifier", **classifier.settings())


@dataclass(slots=True)
class _Use:
    """The runtime state of a generation; `release` is called at the end of each of its requests."""

    timeouts: asyncio.Task[None]
    release: functools.partial[None]
    requests: int = 0


def _parts(generation: Generation) -> Iterator[Classifier | EndpointState | KeptTexts]:
    """Yield the parts that must be closed and may be shared between generations."""
    yield generation.classifier
    yield from generation.balancer.all.values()
    if generation.texts is not None:
        yield generation.texts


def _texts(config: Config, previous: Generation | None) -> KeptTexts | None:
    file = config.pointsman.log.texts_file
    if previous is not None and previous.config.pointsman.log.texts_file == file:
        return previous.texts
    return None if file is None else KeptTexts(Path(file))


def _names(config: Config) -> frozenset[str]:
    loras = (lora.name for model in config.model_config.values() for lora in model.loras)
    return frozenset({*config.model_config, config.default_model, *loras})

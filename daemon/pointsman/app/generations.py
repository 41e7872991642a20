"""Switch from one config to the next; a request stays with the config it began with."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pointsman.api.backend import Backend
from pointsman.app.builder import GenerationBuilder
from pointsman.app.generation import Generation
from pointsman.app.model_watch import ModelWatch
from pointsman.app.prepare import PreparedConfig
from pointsman.app.supervisor import Supervisor
from pointsman.classify.encoder import Encoder
from pointsman.config.model import Config
from pointsman.config.overlay import NOTHING, Overlay
from pointsman.experiments.running import Experiments
from pointsman.improve.texts_file import TextsFile
from pointsman.observability.feedback_file import FeedbackFile
from pointsman.observability.latest import LatestRequests
from pointsman.observability.log import Log
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.observability.spans import Spans
from pointsman.observability.traffic import Traffic
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.router import Router
from pointsman.server.byte_budget import ByteBudget
from pointsman.server.request import Request
from pointsman.upstream import client
from pointsman.upstream.endpoint_state import EndpointState

# Requests depend on these tasks: without them, responses have no time limit, and nobody finds out which endpoints are
# up and which models they serve.
NEEDED = ("timeouts", "prober", "poller")


class Generations:
    """The generation for new requests, `current`, and older ones that still have requests.

    Use from one event loop; call `close` at the end.
    """

    def __init__(self, prepared: PreparedConfig, log: Log) -> None:
        """Build the first generation; raises CannotStart."""
        self.metrics = Metrics(_names(prepared.config))
        self.traffic = Traffic(self.metrics)
        self.latest = LatestRequests(self.metrics.settle)
        self.experiments = Experiments()
        self.models = ModelWatch(log, self.metrics.settle)
        self.metrics.counted = self._counted
        self.log = log
        self.supervisor = Supervisor(log, self.metrics.task_failures.add)
        self.budget = ByteBudget(prepared.config.pointsman.server.buffered_bytes)
        self.stored = StoredResponses(time.time)
        self.swapped: Callable[[], None] = lambda: None
        """Called once another config is in use."""
        self._builder = GenerationBuilder(log, self.metrics, self.stored, prepared.hash_key)
        self._builder.rated = self.experiments.rate
        self.canary_monitor = self._builder.canary_monitor
        self.answers = self._builder.answers
        self.arrivals = self._builder.arrivals
        self.unloaded = self._builder.unloaded
        self._in_use: dict[Generation, _GenerationState] = {}
        self._polling: list[asyncio.Task[None]] = []
        self.current = self._begin(self._builder.build(prepared, None))
        self.use(NOTHING)

    def exchange(self, request: Request, path: str) -> tuple[Backend, Exchange]:
        """Begin an exchange on the current generation, which stays in use until the exchange ends."""
        generation = self.current
        release = self.hold()
        return generation.backend, Exchange(request, path, generation.admission, generation.recorder, release)

    def hold(self) -> Callable[[], None]:
        """Keep the current generation in use until the returned function is called."""
        use = self._in_use[self.current]
        use.requests += 1
        return use.release

    def begin(self) -> tuple[Router, Callable[[], None]]:
        """Return the current router, and a function that releases it."""
        return self.current.backend.router, self.hold()

    def use(self, overlay: Overlay) -> None:
        """Route new requests by the decisions of commands and the service over the config, also after reloads."""
        self.overlay = overlay
        self.current.backend.router.use(overlay)
        self._follow(self.current)
        self.unloaded.clear()
        self.unloaded.update(overlay.adapters)

    def _follow(self, generation: Generation) -> None:
        """Watch the experiments of a config, as commands and the service have changed them."""
        self.metrics.settle()  # requests that have ended belong to the experiments before
        self.canary_monitor.follow(generation.config, generation.backend.router.routing)
        self.experiments.follow(generation.config, generation.backend.router.routing)
        self.models.follow(generation.config)

    def _counted(self, records: list[Record]) -> None:
        self.latest.add(records)
        self.experiments.add(records)
        self.models.add(records)

    def trouble(self) -> str | None:
        """Return why this service should get no requests, or None."""
        if not self.current.classifier.encoder.healthy:
            return "the classifier stopped; restart the service"
        if not any(endpoint.key_accepted for endpoint in self.current.balancer.all.values()):
            return "no endpoint accepts the key in pointsman.relay.api_key_file; see the log"
        task = self.supervisor.down(*NEEDED)
        return None if task is None else f"the background task {task} fails again and again; see the log"

    def swap(self, prepared: PreparedConfig) -> None:
        """Use another config for new requests; raises CannotStart, and then nothing has changed."""
        before, generation = self.current, self._builder.build(prepared, self.current)
        generation.backend.router.use(self.overlay)
        for task in self._polling:
            task.cancel()
        self.metrics.know(_names(generation.config))
        self.budget.resize(generation.config.pointsman.server.buffered_bytes)
        self.current = self._begin(generation)
        if before.shadow is not None and before.shadow is not generation.shadow:
            before.shadow.close()  # at once: no request depends on it, and two take memory
        self._follow(generation)
        self.log.set_level(prepared.config.pointsman.log.level)
        self.swapped()
        if not self._in_use[before].requests:
            self._end(before)

    async def close(self) -> None:
        """Stop all background tasks and close all parts; requests in flight are lost."""
        await self.supervisor.close()
        for generation in list(self._in_use):
            self._end(generation)

    def _release(self, generation: Generation) -> None:
        """Uncount one request of `generation`, and close an old generation after its last."""
        use = self._in_use[generation]
        use.requests -= 1
        if not use.requests and generation is not self.current:
            self._end(generation)

    def _begin(self, generation: Generation) -> Generation:
        release = functools.partial(self._release, generation)
        start = self.supervisor.start
        self._in_use[generation] = _GenerationState(start("timeouts", generation.timeouts.run), release)
        options, poller, balancer = generation.config.pointsman, generation.poller, generation.balancer
        self._polling = []
        if generation.shadow is not None:
            generation.shadow.start(self.supervisor)
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
        still_used = {part for other in self._in_use for part in _parts(other)}
        for part in _parts(generation):
            if part in still_used:
                continue
            if isinstance(part, EndpointState):
                part.close()
            else:  # may wait for a run, or for the disk
                asyncio.get_running_loop().run_in_executor(None, part.close)


@dataclass(slots=True)
class _GenerationState:
    """The runtime state of a generation; `release` is called at the end of each of its requests."""

    timeouts: asyncio.Task[None]
    release: functools.partial[None]
    requests: int = 0


def _parts(generation: Generation) -> Iterator[Encoder | EndpointState | TextsFile | FeedbackFile | Spans]:
    """Yield the parts that must be closed and may be shared between generations."""
    yield generation.classifier.encoder
    yield from generation.balancer.all.values()
    for part in (generation.texts, generation.feedback, generation.recorder.spans):
        if part is not None:
            yield part


def _names(config: Config) -> frozenset[str]:
    loras = (lora.name for model in config.model_config.values() for lora in model.loras)
    return frozenset({*config.model_config, config.default_model, *loras})

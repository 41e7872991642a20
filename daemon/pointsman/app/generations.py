"""One config after another: a request is served to its end by the one that it began with."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pointsman.adapters.loader import Loader
from pointsman.adapters.poller import Poller
from pointsman.api.service import Service
from pointsman.app.prepare import Prepared
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Config, ServerOptions
from pointsman.errors import CannotStart
from pointsman.observability.telemetry import Level, Log, Metrics, Texts
from pointsman.proxy.timeouts import Watch
from pointsman.routing.router import Router
from pointsman.server.listener import Limits
from pointsman.upstream import client as ask
from pointsman.upstream.load_balancer import Endpoints, Upstream
from pointsman.upstream.vllm_admin import LoraApi

# For listeners, the admin port, files of the classifier, probes, and whatever a library opens.
SPARE_FILES = 128


class Generations:
    """The service as it is now, in `current`, and those before it that still have requests.

    Use from one event loop; `close` it.
    """

    def __init__(self, prepared: Prepared, log: Log) -> None:
        """Raises CannotStart."""
        _check_files(prepared.config.pointsman.server)
        self.metrics = Metrics(_names(prepared.config))
        self.log = log
        self._started = time.time()
        self._living: dict[Service, _Life] = {}
        self._asking: list[asyncio.Task[None]] = []
        self.current = self._begin(self._build(prepared, None))

    def enter(self) -> Service:
        """A request begins; what serves it, until it must `leave`."""
        service = self.current
        self._living[service].requests += 1
        return service

    def leave(self, service: Service) -> None:
        """The request has ended."""
        life = self._living[service]
        life.requests -= 1
        if not life.requests and service is not self.current:
            self._end(service)

    def swap(self, prepared: Prepared) -> None:
        """Requests that begin from now on are served by this; raises CannotStart, and then nothing has changed."""
        _check_files(prepared.config.pointsman.server)
        before, service = self.current, self._build(prepared, self.current)
        for task in self._asking:
            task.cancel()
        self.metrics.know(_names(service.config))
        self.current = self._begin(service)
        self.log.set_level(prepared.config.pointsman.log.level)
        if not self._living[before].requests:
            self._end(before)

    def _build(self, prepared: Prepared, previous: Service | None) -> Service:
        config, key_line = prepared.config, prepared.key_line
        texts = _texts(config, previous)  # nothing after this can fail, and what follows takes over what is in use
        relay = config.pointsman.relay
        upstreams = previous.endpoints.all if previous else None
        endpoints = Endpoints(config.vllm_endpoints, relay, self._report, upstreams)
        poller = Poller(
            config.vllm_endpoints,
            lambda endpoint: ask.models(endpoints.all[endpoint.name], key_line),
            self._report,
            previous.poller if previous else None,
        )
        loader = Loader(config, poller, LoraApi(endpoints.all, key_line), self._changed)
        endpoints.turned = loader.turned
        router = Router(config, prepared.classifier, lambda: poller.served, previous.router if previous else None)
        if previous is None or previous.router.classifier is not prepared.classifier:
            for note in prepared.classifier.notes:
                self.log.write("warning", "classifier", message=note)
            self.log.write("info", "classifier", **prepared.classifier.settings())
        server = config.pointsman.server
        return Service(
            config=config,
            limits=Limits(server.header_timeout_ms / 1000, server.max_body_bytes, server.max_connections),
            router=router,
            poller=poller,
            loader=loader,
            endpoints=endpoints,
            watch=Watch(relay, self.metrics.chunk_gap_seconds.add),
            key_line=key_line,
            pass_credentials=relay.forward_authorization and not key_line,
            metrics=self.metrics,
            log=self.log,
            texts=texts,
            started=self._started,
            loop=asyncio.get_running_loop(),
        )

    def _begin(self, service: Service) -> Service:
        self._living[service] = _Life(asyncio.create_task(service.watch.run()))
        options, key_line = service.config.pointsman, service.key_line
        self._asking = []
        if interval := options.adapters.poll_interval_ms:
            self._asking.append(asyncio.create_task(service.poller.run(interval / 1000, service.loader.settle)))
        if interval := options.relay.health_interval_ms:
            probe = service.endpoints.probe(lambda upstream: ask.health(upstream, key_line), interval / 1000)
            self._asking.append(asyncio.create_task(probe))
        return service

    def _end(self, service: Service) -> None:
        """Close what no other has."""
        self._living.pop(service).watching.cancel()
        kept = {part for other in self._living for part in _parts(other)}
        for part in _parts(service):
            if part in kept:
                continue
            if isinstance(part, Classifier):  # it may have to wait for a run
                service.loop.run_in_executor(None, part.close)
            else:
                part.close()

    def _report(self, endpoint: str, state: str) -> None:
        self.log.write("info", "endpoint", endpoint=endpoint, state=state)

    def _changed(self, endpoint: str, adapter: str, outcome: str, error: str | None) -> None:
        self.metrics.adapter_changes.add(endpoint, outcome)
        level: Level = "info" if error is None else "warning"
        self.log.write(level, "adapter", endpoint=endpoint, adapter=adapter, state=outcome, error=error)

    async def close(self) -> None:
        """End what runs; requests are lost."""
        tasks = [*self._asking, *(life.watching for life in self._living.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for service in list(self._living):
            self._end(service)


@dataclass(slots=True)
class _Life:
    """What goes on for as long as a generation has requests."""

    watching: asyncio.Task[None]
    requests: int = 0


def _parts(service: Service) -> Iterator[Classifier | Upstream | Texts]:
    """What is closed at the end, and may be shared between generations."""
    yield service.router.classifier
    yield from service.endpoints.all.values()
    if service.texts is not None:
        yield service.texts


def _texts(config: Config, previous: Service | None) -> Texts | None:
    file = config.pointsman.log.texts_file
    if previous is not None and previous.config.pointsman.log.texts_file == file:
        return previous.texts
    return None if file is None else Texts(Path(file))


def _check_files(options: ServerOptions) -> None:
    """Take all the file descriptors that we may have; raises CannotStart where they are too few for the limits."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    needed = options.max_connections + options.max_in_flight + SPARE_FILES
    if most != resource.RLIM_INFINITY and needed > most:
        raise CannotStart(
            f"{options.max_connections} connections and {options.max_in_flight} requests at once need {needed} open "
            f"files, and this process may have {most}: raise LimitNOFILE (ulimit -Hn), or lower "
            "pointsman.server.max_connections or max_in_flight"
        )


def _names(config: Config) -> frozenset[str]:
    loras = (lora.name for model in config.model_config.values() for lora in model.loras)
    return frozenset({*config.model_config, config.default_model, *loras})

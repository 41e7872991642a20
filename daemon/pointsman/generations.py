"""One config after another: a request is served to its end by the one that it began with."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from pointsman.adapters import Poller
from pointsman.classify.classifier import Classifier
from pointsman.config.model import Config
from pointsman.relay import ask
from pointsman.relay.endpoints import Endpoints
from pointsman.relay.watch import Watch
from pointsman.router import Router
from pointsman.service import Service
from pointsman.telemetry import Log, Metrics, Texts


class Generations:
    """The service as it is now, in `current`. Use from one event loop; `close` it."""

    def __init__(self, config: Config, classifier: Classifier, log: Log) -> None:
        """Raises CannotStart."""
        self.metrics = Metrics(_names(config))
        self.log = log
        self._started = time.time()
        self._requests: dict[Service, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self.current = self._build(config, classifier)
        self._begin(self.current)

    def enter(self) -> Service:
        """A request begins; what serves it, until it must `leave`."""
        service = self.current
        self._requests[service] += 1
        return service

    def leave(self, service: Service) -> None:
        """The request has ended."""
        self._requests[service] -= 1

    def _build(self, config: Config, classifier: Classifier) -> Service:
        relay = config.pointsman.relay
        key_line = ask.read_key(relay.api_key_file)
        endpoints = Endpoints(config.vllm_endpoints, relay, self._report)
        poller = Poller(
            config.vllm_endpoints, lambda endpoint: ask.models(endpoints.all[endpoint.name], key_line), self._report
        )
        texts_file = config.pointsman.log.texts_file
        return Service(
            config=config,
            router=Router(config, classifier, lambda: poller.served),
            poller=poller,
            endpoints=endpoints,
            watch=Watch(relay, self.metrics.chunk_gap_seconds.add),
            key_line=key_line,
            pass_credentials=relay.forward_authorization and not key_line,
            metrics=self.metrics,
            log=self.log,
            texts=None if texts_file is None else Texts(Path(texts_file)),
            started=self._started,
            loop=asyncio.get_running_loop(),
        )

    def _begin(self, service: Service) -> None:
        self._requests[service] = 0
        options, key_line = service.config.pointsman, service.key_line
        self._tasks = [asyncio.create_task(service.watch.run())]
        if interval := options.adapters.poll_interval_ms:
            self._tasks.append(asyncio.create_task(service.poller.run(interval / 1000)))
        if interval := options.relay.health_interval_ms:
            probe = service.endpoints.probe(lambda upstream: ask.health(upstream, key_line), interval / 1000)
            self._tasks.append(asyncio.create_task(probe))

    def _report(self, endpoint: str, state: str) -> None:
        self.log.write("info", "endpoint", endpoint=endpoint, state=state)

    async def close(self) -> None:
        """End what runs; requests are lost."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.current.endpoints.close()
        if self.current.texts is not None:
            self.current.texts.close()


def _names(config: Config) -> frozenset[str]:
    loras = (lora.name for model in config.model_config.values() for lora in model.loras)
    return frozenset({*config.model_config, config.default_model, *loras})

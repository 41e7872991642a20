"""What the handlers of requests work with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pointsman.adapters.loader import Loader
from pointsman.adapters.poller import Poller
from pointsman.config.model import Config
from pointsman.observability.telemetry import Log, Metrics, Texts
from pointsman.proxy.timeouts import Watch
from pointsman.routing.router import Router
from pointsman.server.listener import Limits
from pointsman.upstream.load_balancer import Endpoints


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """Everything behind the listeners, as one config has it; a request keeps to the one that it began with.

    `key_line` is the header line with vLLM's key, empty without one; `pass_credentials`: the client's own may cross;
    `started` is when the process did, in seconds since the epoch.
    """

    config: Config
    limits: Limits
    router: Router
    poller: Poller
    loader: Loader
    endpoints: Endpoints
    watch: Watch
    key_line: bytes
    pass_credentials: bool
    metrics: Metrics
    log: Log
    texts: Texts | None
    started: float
    loop: asyncio.AbstractEventLoop

    def status(self) -> str:
        """What an operator asks first, in one line."""
        if not self.router.classifier.healthy:
            return "the classifier hangs or has stopped"
        now, upstreams = self.loop.time(), self.endpoints.all.values()
        up = [upstream for upstream in upstreams if upstream.name in self.poller.served.cards and upstream.healthy(now)]
        adapters = [card for card in self.poller.served.models().values() if card.parent is not None]
        return f"{len(up)} of {len(upstreams)} vLLM up; {len(adapters)} adapters; {self.metrics.in_flight} in flight"

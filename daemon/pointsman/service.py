"""What the handlers of requests work with."""

from __future__ import annotations

from dataclasses import dataclass

from pointsman.adapters import Poller
from pointsman.config.model import Config
from pointsman.relay.endpoints import Endpoints
from pointsman.relay.upstream import Upstream
from pointsman.router import Router
from pointsman.telemetry import Log, Metrics, Texts


@dataclass(frozen=True, slots=True)
class Service:
    """Everything behind the listeners; `started` is in seconds since the epoch."""

    config: Config
    router: Router
    upstream: Upstream
    poller: Poller
    endpoints: Endpoints
    metrics: Metrics
    log: Log
    texts: Texts | None
    started: float

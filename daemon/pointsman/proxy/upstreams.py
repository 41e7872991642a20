"""The state that the requests of one config share on their way to vLLM."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from pointsman.adapters.catalog import ServedModels
from pointsman.observability.metrics import Metrics
from pointsman.proxy.health_reporter import HealthReporter
from pointsman.proxy.quarantine import Quarantine
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.proxy.timeouts import Timeouts
from pointsman.upstream.load_balancer import LoadBalancer


class Catalog(Protocol):
    """The served models, which a 404 of vLLM's corrects."""

    served: ServedModels

    def refused(self, endpoint: str, name: str) -> None:
        """Record that an endpoint does not know a model."""


@dataclass(frozen=True, slots=True, eq=False)
class Upstreams:
    """The endpoints, and their known state.

    `key_line` is the header line with vLLM's API key, empty without one; `pass_credentials` forwards the client's own
    credentials; `quarantine` is None if requests are never refused for their effect.
    """

    balancer: LoadBalancer
    catalog: Catalog
    timeouts: Timeouts
    health: HealthReporter
    metrics: Metrics
    loop: asyncio.AbstractEventLoop
    key_line: bytes
    pass_credentials: bool
    quarantine: Quarantine | None
    stored: StoredResponses

"""What the handlers of requests work with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pointsman.adapters import Poller
from pointsman.config.model import Config
from pointsman.relay.endpoints import Endpoints
from pointsman.relay.passage import Timeouts
from pointsman.router import Router
from pointsman.telemetry import Log, Metrics, Texts


@dataclass(frozen=True, slots=True)
class Service:
    """Everything behind the listeners; `started` is in seconds since the epoch.

    `key_line` is the header line with vLLM's key, empty without one; `pass_credentials`: the client's own may cross.
    """

    config: Config
    router: Router
    poller: Poller
    endpoints: Endpoints
    timeouts: Timeouts
    key_line: bytes
    pass_credentials: bool
    metrics: Metrics
    log: Log
    texts: Texts | None
    started: float
    loop: asyncio.AbstractEventLoop

"""The state of one endpoint, which outlives every config that keeps the endpoint."""

from __future__ import annotations

import asyncio

from pointsman.config.model import Endpoint, RelayOptions
from pointsman.upstream.breaker import CircuitBreaker
from pointsman.upstream.pool import ConnectionPool


class EndpointState:
    """One endpoint: its connections, requests in flight, and health."""

    __slots__ = ("breaker", "doubted", "endpoint", "in_flight", "key_accepted", "name", "pool", "reachable")

    def __init__(self, endpoint: Endpoint, options: RelayOptions) -> None:
        self.endpoint = endpoint
        self.name = endpoint.name
        self.pool = ConnectionPool(endpoint, options.connect_timeout_ms / 1000)
        self.breaker = CircuitBreaker(options.breaker_failures, options.breaker_open_ms / 1000)
        self.doubted = asyncio.Event()
        """Set to probe the endpoint now."""
        self.in_flight = 0
        self.reachable = True
        self.key_accepted = True

    def healthy(self, now: float) -> bool:
        """Return whether requests should go to the endpoint."""
        return self.reachable and self.key_accepted and self.breaker.passes(now)

    def close(self) -> None:
        """Close the connections."""
        self.pool.close()

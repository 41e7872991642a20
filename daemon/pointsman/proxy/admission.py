"""Admit requests within the limits of the service and of each client."""

from __future__ import annotations

from pointsman.config.model import ServerOptions
from pointsman.errors import OverShare, TooBusy
from pointsman.observability.metrics import Metrics
from pointsman.proxy.key_limiter import KeyLimiter
from pointsman.server.client_limiter import ClientLimiter


class Admission:
    """Count requests in flight, in total and by client, and refuse those beyond the limits of one config."""

    def __init__(self, options: ServerOptions, limiter: ClientLimiter, keys: KeyLimiter, metrics: Metrics) -> None:
        """`limiter`, `keys` and `metrics` are shared by all configs of the process."""
        self._options = options
        self._limiter = limiter
        self.keys = keys
        self._metrics = metrics

    def begin(self) -> None:
        """Count one more request."""
        self._metrics.in_flight += 1

    def admit(self, client: str) -> str:
        """Return the client to `end` the request with; raises TooBusy or OverShare where it is one too many.

        `client` is what tells it apart from others, empty where no limit of one client applies.
        """
        metrics, limits = self._metrics, self._options
        if metrics.in_flight > limits.max_in_flight:
            metrics.refused.add("in_flight")
            raise TooBusy("too many requests at once (pointsman.server.max_in_flight)")
        if not limits.max_in_flight_per_client or not client:
            return ""
        try:
            self._limiter.acquire(client, limits.max_in_flight_per_client)
        except OverShare:
            metrics.refused.add("client")
            raise
        return client

    def end(self, client: str) -> None:
        """Count one request less; `client` is what `admit` returned, empty where it was not called or refused."""
        self._metrics.in_flight -= 1
        if client:
            self._limiter.release(client)

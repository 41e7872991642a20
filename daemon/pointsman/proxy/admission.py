"""Admit requests within the limits of the service and of each client."""

from __future__ import annotations

from pointsman.config.model import ServerOptions
from pointsman.errors import BodyEvicted, ConcurrencyLimited, TooBusy
from pointsman.observability.metrics import Metrics
from pointsman.proxy.key_limiter import KeyLimiter
from pointsman.server.arrivals import Arrivals
from pointsman.server.client_limiter import ClientLimiter
from pointsman.server.request import Request


class Admission:
    """The requests in flight, in total and by client; refuses those beyond the limits of one config.

    A request counts in the total once its body is complete: a client that sends only a head takes nobody's slot.
    """

    def __init__(
        self,
        options: ServerOptions,
        limiter: ClientLimiter,
        keys: KeyLimiter,
        arrivals: Arrivals[Request],
        max_arriving: int,
        metrics: Metrics,
    ) -> None:
        """Take `limiter`, `keys`, `arrivals` and `metrics`, which all configs of the process share."""
        self._options = options
        self._limiter = limiter
        self.keys = keys
        self._arrivals = arrivals
        self._max_arriving = max_arriving
        self._metrics = metrics

    def admit(self, client: str, *, whole: bool) -> str:
        """Return the client to call `uncount` with; raises TooBusy or ConcurrencyLimited if a limit is exceeded.

        `client` identifies the sender, and is empty if no limit of one client applies. If the body is `whole`, the
        request counts as in flight.
        """
        metrics, limits = self._metrics, self._options
        if metrics.in_flight >= limits.max_in_flight:
            raise self._full()
        if not limits.max_in_flight_per_client:
            client = ""
        elif client:
            try:
                self._limiter.acquire(client, limits.max_in_flight_per_client)
            except ConcurrencyLimited:
                metrics.refused.add("client")
                raise
        if whole:
            metrics.in_flight += 1
        return client

    def count_in_flight(self) -> None:
        """Count an admitted request, as its body is complete now; raises TooBusy."""
        metrics = self._metrics
        if metrics.in_flight >= self._options.max_in_flight:
            raise self._full()
        metrics.in_flight += 1

    def _full(self) -> TooBusy:
        self._metrics.refused.add("in_flight")
        return TooBusy("too many requests at once (pointsman.server.max_in_flight)")

    def arrives(self, client: str, request: Request, *, limited: bool) -> None:
        """Count a request whose body is arriving, until `arrived`; if there are too many, another one is dropped.

        Raises ConcurrencyLimited if the client is `limited` and has too many itself.
        """
        try:
            evicted = self._arrivals.enter(client, request, self._max_arriving, limited=limited)
        except ConcurrencyLimited:
            self._metrics.refused.add("client_bodies")
            raise
        if evicted is not None and evicted.arriving:
            evicted.broken(BodyEvicted())

    def arrived(self, client: str, request: Request) -> None:
        """Uncount a request whose body is complete, or will never be."""
        self._arrivals.leave(client, request)

    def uncount(self, client: str, *, in_flight: bool) -> None:
        """Uncount a request; `client` is the result of `admit`, empty if that was not called or refused."""
        if in_flight:
            self._metrics.in_flight -= 1
        if client:
            self._limiter.release(client)

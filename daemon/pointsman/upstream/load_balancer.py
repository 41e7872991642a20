"""Choose the endpoint for the next request: the healthy one with the fewest requests in flight by weight.

An endpoint is healthy while its `/health` answers, it accepts the service's key, and its breaker is closed. If no
endpoint is healthy, all count as healthy: trying one may work, refusing cannot.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace

from pointsman.config.model import Endpoint, RelayOptions
from pointsman.errors import OutOfFileDescriptors
from pointsman.upstream.endpoint_state import EndpointState

# Minimum delay before the next probe, however often an endpoint is doubted.
MIN_PROBE_SECONDS = 0.1

Report = Callable[[str, str, bool], None]
"""A callback with an endpoint's name, its new state, and whether that state is healthy."""


class LoadBalancer:
    """A chooser among the endpoints of one config, which tracks their health."""

    def __init__(
        self,
        endpoints: Collection[Endpoint],
        options: RelayOptions,
        report: Report,
        previous: Mapping[str, EndpointState] | None = None,
    ) -> None:
        """Take over the states in `previous` with the same name and address, and apply `options` to them."""
        self.all = {endpoint.name: _taken_over(endpoint, options, previous or {}) for endpoint in endpoints}
        self._weights = {endpoint.name: endpoint.weight for endpoint in endpoints}
        self._report = report
        self._probed = options.health_interval_ms > 0
        self.on_health_change: Callable[[str, bool], None] = lambda _name, _well: None
        """Called with an endpoint's name and its new health; an endpoint that is back may be another process."""
        self.on_dead: Callable[[str], None] = lambda _name: None
        """Called with an endpoint's name each time a connection or a health check fails."""

    def choose(self, candidates: tuple[Endpoint, ...], now: float, tried: Iterable[str] = ()) -> EndpointState | None:
        """Return the best of `candidates` that was not `tried`, or None; `now` as for the breaker."""
        if len(candidates) == 1 and not tried:
            return self.all[candidates[0].name]
        left = [self.all[endpoint.name] for endpoint in candidates if endpoint.name not in tried]
        if not left:
            return None
        return min([upstream for upstream in left if upstream.healthy(now)] or left, key=self._load)

    def succeeded(self, upstream: EndpointState) -> None:
        """Record that an endpoint answered a request."""
        if upstream.breaker.opened:
            self._report(upstream.name, "answers again", True)
            self.on_health_change(upstream.name, True)
        upstream.breaker.succeeded()

    def failed(self, upstream: EndpointState, why: str, now: float, client: str | None = None) -> None:
        """Record that an endpoint failed a request: connection, timeout, 502, 503, 504, or an error in a stream.

        `client` has seen it, or None if no request can have caused it. After many failures of one client, a probe
        decides.
        """
        breaker, opened = upstream.breaker, upstream.breaker.opened
        breaker.failed(now, client)
        if breaker.opened and not opened:
            self._report(upstream.name, f"fails: {why}", False)
        elif breaker.in_doubt:
            upstream.doubted.set()

    def unreachable(self, upstream: EndpointState, why: str) -> None:
        """Record that an endpoint does not accept connections, or its `/health` does not answer."""
        self.on_dead(upstream.name)
        # Without probes only the breaker can find out that the endpoint is back.
        if upstream.reachable and self._probed:
            upstream.reachable = False
            self._report(upstream.name, f"down: {why}", False)
            self.on_health_change(upstream.name, False)

    def reached(self, upstream: EndpointState) -> None:
        """Record that an endpoint answers `/health` or accepts connections."""
        if not upstream.reachable:
            upstream.reachable = True
            self._report(upstream.name, "up", True)
            self.on_health_change(upstream.name, True)

    def key_refused(self, upstream: EndpointState) -> None:
        """Record that an endpoint refuses the service's key, so that every request to it would fail."""
        if upstream.key_accepted:
            upstream.key_accepted = False
            self._report(upstream.name, "gets no requests until it accepts the key", False)

    def key_accepted(self, upstream: EndpointState) -> None:
        """Record that an endpoint accepts the service's key."""
        if not upstream.key_accepted:
            upstream.key_accepted = True
            self._report(upstream.name, "accepts the key again", True)

    async def probe(
        self, upstream: EndpointState, ask: Callable[[EndpointState], Awaitable[str | None]], interval: float
    ) -> None:
        """Probe each endpoint every `interval` seconds, and at once if doubted, until canceled.

        `ask` returns the problem, or None.
        """
        failures, loop = 0, asyncio.get_running_loop()
        while True:
            upstream.doubted.clear()
            started = loop.time()
            with contextlib.suppress(OutOfFileDescriptors):  # not asked, so nothing is known
                why = await ask(upstream)
                failures = failures + 1 if why else 0
                if why is None:
                    self.reached(upstream)
                else:
                    self._probe_failed(upstream, why, failures, loop.time())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(interval):
                    await upstream.doubted.wait()
                    await asyncio.sleep(started + MIN_PROBE_SECONDS - loop.time())

    def _probe_failed(self, upstream: EndpointState, why: str, in_a_row: int, now: float) -> None:
        if upstream.breaker.in_doubt:
            upstream.breaker.confirmed(now)
            self._report(upstream.name, f"fails: {why}", False)
        if in_a_row >= 2:  # a busy vLLM may miss one
            self.unreachable(upstream, why)
        else:
            self.on_dead(upstream.name)

    def _load(self, upstream: EndpointState) -> tuple[float, float]:
        """Return the sort key: load, then a weighted random tie-break.

        Efraimidis and Spirakis (2006): the greatest u^(1/weight) wins as often as its share of the weights.
        """
        weight = self._weights[upstream.name]
        if weight == 0:
            return float("inf"), 0.0
        return upstream.in_flight / weight, -(random.random() ** (1 / weight))  # noqa: S311


def _taken_over(endpoint: Endpoint, options: RelayOptions, previous: Mapping[str, EndpointState]) -> EndpointState:
    upstream = previous.get(endpoint.name)
    if upstream is None or replace(upstream.endpoint, weight=endpoint.weight) != endpoint:
        return EndpointState(endpoint, options)
    upstream.pool.connect_timeout = options.connect_timeout_ms / 1000
    upstream.breaker.failures = options.breaker_failures
    upstream.breaker.open_seconds = options.breaker_open_ms / 1000
    return upstream

"""Which endpoint takes the next request: of the healthy ones that with the least in flight by weight.

An endpoint is healthy while its probe of `/health` succeeds and its breaker is closed. Where none is, all are taken as
healthy: a guess that may fail is better than a refusal that is certain to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import replace

from pointsman.config.model import Endpoint, RelayOptions
from pointsman.upstream.endpoint_state import EndpointState

Report = Callable[[str, str], None]
"""Told of an endpoint's name and its new state."""


class LoadBalancer:
    """Chooses among all endpoints of the config, and keeps track of how they do."""

    def __init__(
        self,
        endpoints: Collection[Endpoint],
        options: RelayOptions,
        report: Report,
        previous: Mapping[str, EndpointState] | None = None,
    ) -> None:
        """Those of `previous` that have the same name and address are taken over, and `options` count for them, too."""
        self.all = {endpoint.name: _taken_over(endpoint, options, previous or {}) for endpoint in endpoints}
        self._weights = {endpoint.name: endpoint.weight for endpoint in endpoints}
        self._report = report
        self._probed = options.health_interval_ms > 0
        self.on_health_change: Callable[[str, bool], None] = lambda _name, _well: None
        """Called with an endpoint's name and its new health; an endpoint that is back may be another process."""

    def choose(self, candidates: tuple[Endpoint, ...], now: float, tried: Iterable[str] = ()) -> EndpointState | None:
        """The best of `candidates` that was not `tried`; None when there is none left. `now` as for the breaker."""
        if len(candidates) == 1 and not tried:
            return self.all[candidates[0].name]
        left = [self.all[endpoint.name] for endpoint in candidates if endpoint.name not in tried]
        if not left:
            return None
        return min([upstream for upstream in left if upstream.healthy(now)] or left, key=self._load)

    def succeeded(self, upstream: EndpointState) -> None:
        """It answered a request."""
        if upstream.breaker.opened:
            self._report(upstream.name, "answers again")
            self.on_health_change(upstream.name, True)
        upstream.breaker.succeeded()

    def failed(self, upstream: EndpointState, why: str, now: float) -> None:
        """It failed a request: connection, time, 502, 503, 504, or an error inside a stream."""
        opened = upstream.breaker.opened
        upstream.breaker.failed(now)
        if upstream.breaker.opened and not opened:
            self._report(upstream.name, f"fails: {why}")

    def unreachable(self, upstream: EndpointState, why: str) -> None:
        """No connection to it, or its `/health` does not answer."""
        if upstream.reachable and self._probed:  # or nobody would find out that it is back; the breaker does
            upstream.reachable = False
            self._report(upstream.name, f"down: {why}")
            self.on_health_change(upstream.name, False)

    def reached(self, upstream: EndpointState) -> None:
        """Its `/health` answers, or a connection came about."""
        if not upstream.reachable:
            upstream.reachable = True
            self._report(upstream.name, "up")
            self.on_health_change(upstream.name, True)

    async def probe(self, ask: Callable[[EndpointState], Awaitable[str | None]], interval: float) -> None:
        """Ask every endpoint each `interval` seconds until cancelled; `ask` tells what is wrong, or None."""
        await asyncio.gather(*(self._probe(upstream, ask, interval) for upstream in self.all.values()))

    async def _probe(
        self, upstream: EndpointState, ask: Callable[[EndpointState], Awaitable[str | None]], interval: float
    ) -> None:
        failures = 0
        while True:
            why = await ask(upstream)
            failures = failures + 1 if why else 0
            if why is None:
                self.reached(upstream)
            elif failures >= 2:  # one may be lost to a busy moment
                self.unreachable(upstream, why)
            await asyncio.sleep(interval)

    def _load(self, upstream: EndpointState) -> tuple[float, float]:
        """Weighted chance by Efraimidis and Spirakis (2006): the greatest u^(1/weight) wins as often as its share."""
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

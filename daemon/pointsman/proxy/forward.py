"""Forward requests to vLLM: each to the best endpoint that may serve it."""

from __future__ import annotations

from collections.abc import Coroutine
from dataclasses import dataclass

from pointsman.config.model import Endpoint
from pointsman.errors import RequestError, UpstreamUnreachable
from pointsman.long_body import Body
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forwarded_request import ForwardedRequest, OnUnknownModel
from pointsman.proxy.outage_queue import OutageQueue
from pointsman.proxy.quarantine import Quarantine
from pointsman.proxy.tunnel import Tunnel
from pointsman.proxy.upstreams import Upstreams
from pointsman.upstream.endpoint_state import EndpointState


@dataclass(frozen=True, slots=True, eq=False)
class Forwarder:
    """A forwarder of one config's requests; `outage_queue` is None if requests do not wait for an endpoint."""

    upstreams: Upstreams
    outage_queue: OutageQueue | None

    def forward(
        self,
        exchange: Exchange,
        candidates: tuple[Endpoint, ...],
        body: Body,
        lines: bytes = b"",
        model: str = "",
        on_unknown_model: OnUnknownModel | None = None,
    ) -> Coroutine[None, None, None]:
        """Send a request to one of `candidates`; the response goes to the client with the header lines `lines`.

        Raises UpstreamError if no endpoint accepts a connection in time. After sending, the request is the writer's
        job, which ends the exchange. If vLLM does not know `model`, the one in the body, `on_unknown_model` continues;
        without it the other candidates are asked, and the last answer counts.
        """
        if self.outage_queue is None:
            return self.attempt(exchange, candidates, body, lines, model, on_unknown_model)
        return self.outage_queue.send(
            exchange, candidates, lambda: self.attempt(exchange, candidates, body, lines, model, on_unknown_model)
        )

    def attempt(
        self,
        exchange: Exchange,
        candidates: tuple[Endpoint, ...],
        body: Body,
        lines: bytes,
        model: str,
        on_unknown_model: OnUnknownModel | None,
    ) -> Coroutine[None, None, None]:
        """Send a request as `forward` does, but without waiting for an endpoint."""
        quarantine = self.upstreams.quarantine
        if quarantine is not None and not quarantine.empty:
            self._check(quarantine, exchange, body)
        upstream = self._chosen(candidates)
        return ForwardedRequest(self.upstreams, exchange, candidates, body, lines, model, on_unknown_model).send(
            upstream
        )

    def tunnel(self, exchange: Exchange, candidates: tuple[Endpoint, ...]) -> Coroutine[None, None, None]:
        """Send a request that offers a websocket as `forward` does, and pass bytes both ways if vLLM accepts."""

        def opened() -> Coroutine[None, None, None]:
            return Tunnel(self.upstreams, exchange, candidates).send(self._chosen(candidates))

        return opened() if self.outage_queue is None else self.outage_queue.send(exchange, candidates, opened)

    def _chosen(self, candidates: tuple[Endpoint, ...]) -> EndpointState:
        upstream = self.upstreams.balancer.choose(candidates, self.upstreams.loop.time())
        if upstream is None:
            raise UpstreamUnreachable("no endpoint may serve this request; check preferred_endpoints")
        return upstream

    def _check(self, quarantine: Quarantine, exchange: Exchange, body: Body) -> None:
        if quarantine.refuses(exchange.client, body):
            self.upstreams.metrics.refused.add("query_of_death")
            raise RequestError(
                "vLLM died more than once while this very request was in flight, so it is refused for a minute "
                "(pointsman.relay.quarantine)",
                status=422,
                code="query_of_death",
            )

"""Forward requests to vLLM, each to the best endpoint that may serve it, or by a new plan if that fails."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass

from pointsman.adapters.catalog import ServedModels
from pointsman.config.model import Endpoint
from pointsman.errors import RequestError, UpstreamUnreachable
from pointsman.long_body import Body
from pointsman.proxy.declined import UnknownModel
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forwarded_request import ForwardedRequest, ForwardPlan, OnUnknownModel, Replan
from pointsman.proxy.outage_queue import OutageQueue
from pointsman.proxy.quarantine import Quarantine
from pointsman.proxy.tunnel import Tunnel
from pointsman.proxy.upstreams import Upstreams
from pointsman.upstream.endpoint_state import EndpointState

Rejected = tuple[tuple[str, str], ...]
"""The (endpoint, adapter) pairs that have failed for one request."""


@dataclass(frozen=True, slots=True, eq=False)
class Forwarder:
    """A forwarder of one config's requests; `outage_queue` is None if requests do not wait for an endpoint."""

    upstreams: Upstreams
    outage_queue: OutageQueue | None

    def forward(
        self, exchange: Exchange, plan: ForwardPlan, replan: Replan | None = None, rejected: Rejected = ()
    ) -> Coroutine[None, None, None]:
        """Send a request to one of the plan's endpoints; the response goes to the client.

        `replan` is there if this program chose the model. If that is an adapter, and vLLM does not know it, or no
        endpoint that has it can be reached, the request goes by another plan: nothing has begun then. If vLLM does not
        know a model that the client named, the other endpoints are asked, and the last answer counts.

        Raises UpstreamError if no endpoint accepts a connection in time. After sending, the request is the writer's
        job, which ends the exchange.
        """
        if self.outage_queue is None:
            return self._send_planned(exchange, plan, replan, rejected)
        return self.outage_queue.send_when_up(
            exchange, plan.endpoints, lambda: self._send_planned(exchange, plan, replan, rejected)
        )

    def tunnel(self, exchange: Exchange, candidates: tuple[Endpoint, ...]) -> Coroutine[None, None, None]:
        """Send a request that offers a websocket as `forward` does, and pass bytes both ways if vLLM accepts."""

        def send() -> Coroutine[None, None, None]:
            return Tunnel(self.upstreams, exchange, candidates).send_to(self._best(candidates))

        return send() if self.outage_queue is None else self.outage_queue.send_when_up(exchange, candidates, send)

    def _send_planned(
        self, exchange: Exchange, plan: ForwardPlan, replan: Replan | None, rejected: Rejected
    ) -> Coroutine[None, None, None]:
        """Send a request without waiting for an endpoint."""
        if replan is None:
            return self._send(exchange, plan, plan.model)
        if not plan.adapter:
            return self._send(exchange, plan, "")
        return self._send_to_adapter(exchange, plan, replan, rejected)

    async def _send_to_adapter(self, exchange: Exchange, plan: ForwardPlan, replan: Replan, rejected: Rejected) -> None:
        upstreams, model, record = self.upstreams, plan.model, exchange.record

        async def send_elsewhere(error: UnknownModel, asked: Sequence[str]) -> None:
            exchange.record_retry(record.endpoint or "", "adapter", error)
            now = (*rejected, *((endpoint, model) for endpoint in asked))
            await self.forward(exchange, replan(_without(upstreams.catalog.served, now)), replan, now)

        try:
            await self._send(exchange, plan, model, send_elsewhere)
        except UpstreamUnreachable as error:
            other = replan(_without(upstreams.catalog.served, rejected).down_too(plan.endpoints))
            if other.model == model:
                raise
            upstreams.metrics.upstream_errors.add(record.endpoint or "", error.code)
            exchange.record_retry(record.endpoint or "", "connect", error)
            await self._send_planned(exchange, other, replan, rejected)

    def _send(
        self, exchange: Exchange, plan: ForwardPlan, model: str, on_unknown_model: OnUnknownModel | None = None
    ) -> Coroutine[None, None, None]:
        """Send a request; if vLLM does not know `model`, `on_unknown_model` continues, or other endpoints are asked."""
        quarantine = self.upstreams.quarantine
        if quarantine is not None and not quarantine.empty:
            self._refuse_suspect(quarantine, exchange, plan.body)
        endpoint = self._best(plan.endpoints)
        return ForwardedRequest(self.upstreams, exchange, plan, model, on_unknown_model).send_to(endpoint)

    def _best(self, candidates: tuple[Endpoint, ...]) -> EndpointState:
        endpoint = self.upstreams.balancer.choose(candidates, self.upstreams.loop.time())
        if endpoint is None:
            raise UpstreamUnreachable("no endpoint may serve this request; check preferred_endpoints")
        return endpoint

    def _refuse_suspect(self, quarantine: Quarantine, exchange: Exchange, body: Body) -> None:
        if quarantine.refuses(exchange.client, body):
            self.upstreams.metrics.refused.add("query_of_death")
            raise RequestError(
                "vLLM died more than once while this very request was in flight, so it is refused for a minute "
                "(pointsman.relay.quarantine)",
                status=422,
                code="query_of_death",
            )


def _without(served: ServedModels, rejected: Rejected) -> ServedModels:
    """Skip adapters already rejected for this request: vLLM may list one again, and the two would alternate."""
    for endpoint, name in rejected:
        served = served.without(endpoint, name)
    return served

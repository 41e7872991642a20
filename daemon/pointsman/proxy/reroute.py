"""A request for a model that this program chose: forwarded, and planned anew where that model cannot answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pointsman.adapters.catalog import Served
from pointsman.errors import UpstreamUnreachable
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forward import Forwarder
from pointsman.proxy.unknown_model import ChosenModel, UnknownModel
from pointsman.routing.policy import Decision


class Plan(NamedTuple):
    """A routing decision with the body to send and the header lines that describe it to the client."""

    decision: Decision
    body: bytes
    lines: bytes


class Catalog(Protocol):
    """What is known to be served, which a 404 of vLLM's corrects."""

    served: Served

    def refused(self, endpoint: str, name: str) -> None:
        """Note that an endpoint does not know a model."""


async def forward_chosen(
    forwarder: Forwarder,
    catalog: Catalog,
    exchange: Exchange,
    plan: Plan,
    again: Callable[[Served], Plan],
    rejected: tuple[tuple[str, str], ...] = (),
) -> None:
    """Forward a request by `plan`, or by a new plan where its adapter cannot answer; raises UpstreamError.

    That is where vLLM does not know the adapter, or no endpoint that has it can be reached: nothing has begun then.
    `again` makes a plan for less that is served; `rejected` are the (endpoint, adapter) pairs that failed so far.
    """
    decision, record = plan.decision, exchange.record

    async def unknown(error: UnknownModel) -> None:
        endpoint = record.endpoint or ""
        exchange.retried(endpoint, "adapter", error)
        catalog.refused(endpoint, decision.model)
        now = (*rejected, (endpoint, decision.model))
        await forward_chosen(forwarder, catalog, exchange, again(_without(catalog.served, now)), again, now)

    chosen = ChosenModel(decision.model, unknown) if decision.adapter else None
    try:
        await forwarder.forward(exchange, decision.endpoints, plan.body, plan.lines, chosen)
    except UpstreamUnreachable as error:
        if not decision.adapter:
            raise
        other = again(_without(catalog.served, rejected).down_too(decision.endpoints))
        if other.decision.model == decision.model:
            raise
        forwarder.metrics.upstream_errors.add(record.endpoint or "", error.code)
        exchange.retried(record.endpoint or "", "connect", error)
        await forward_chosen(forwarder, catalog, exchange, other, again, rejected)


def _without(served: Served, rejected: tuple[tuple[str, str], ...]) -> Served:
    """Skip adapters already rejected for this request: vLLM may list one again, and the two would take turns."""
    for endpoint, name in rejected:
        served = served.without(endpoint, name)
    return served

"""A request for a model that this program chose: forwarded, and planned anew if that model cannot answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.errors import UpstreamUnreachable
from pointsman.long_body import Body
from pointsman.proxy.declined import UnknownModel
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forward import Forwarder
from pointsman.routing.decision import Decision


class ForwardPlan(msgspec.Struct, frozen=True, gc=False):
    """A routing decision with the body to send and the header lines that describe it to the client."""

    decision: Decision
    body: Body
    lines: bytes


def forward_chosen(
    forwarder: Forwarder,
    exchange: Exchange,
    plan: ForwardPlan,
    again: Callable[[ServedModels], ForwardPlan],
    rejected: tuple[tuple[str, str], ...] = (),
) -> Coroutine[None, None, None]:
    """Forward a request by `plan`, or by a new plan if its adapter cannot answer; raises UpstreamError.

    That is if vLLM does not know the adapter, or no endpoint that has it can be reached: nothing has begun then.
    `again` makes a plan for the models that are left; `rejected` are the (endpoint, adapter) pairs that failed so far.
    """
    outage_queue, endpoints = forwarder.outage_queue, plan.decision.endpoints
    if outage_queue is None:
        return _attempt(forwarder, exchange, plan, again, rejected)
    return outage_queue.send(exchange, endpoints, lambda: _attempt(forwarder, exchange, plan, again, rejected))


async def _attempt(
    forwarder: Forwarder,
    exchange: Exchange,
    plan: ForwardPlan,
    again: Callable[[ServedModels], ForwardPlan],
    rejected: tuple[tuple[str, str], ...],
) -> None:
    decision, record, catalog = plan.decision, exchange.record, forwarder.upstreams.catalog

    async def unknown(error: UnknownModel, asked: Sequence[str]) -> None:
        exchange.retried(record.endpoint or "", "adapter", error)
        now = (*rejected, *((endpoint, decision.model) for endpoint in asked))
        await forward_chosen(forwarder, exchange, again(_without(catalog.served, now)), again, now)

    model, on_unknown_model = (decision.model, unknown) if decision.adapter else ("", None)
    try:
        await forwarder.attempt(exchange, decision.endpoints, plan.body, plan.lines, model, on_unknown_model)
    except UpstreamUnreachable as error:
        if not decision.adapter:
            raise
        other = again(_without(catalog.served, rejected).down_too(decision.endpoints))
        if other.decision.model == decision.model:
            raise
        forwarder.upstreams.metrics.upstream_errors.add(record.endpoint or "", error.code)
        exchange.retried(record.endpoint or "", "connect", error)
        await _attempt(forwarder, exchange, other, again, rejected)


def _without(served: ServedModels, rejected: tuple[tuple[str, str], ...]) -> ServedModels:
    """Skip adapters already rejected for this request: vLLM may list one again, and the two would alternate."""
    for endpoint, name in rejected:
        served = served.without(endpoint, name)
    return served

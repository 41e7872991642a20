"""Handle the data port's paths: routing, relaying, models, dry run, classification."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from pointsman.adapters.catalog import ServedModels
from pointsman.api import classification, feedback, stored
from pointsman.api.auth import check_model
from pointsman.api.backend import Backend, Begin, Work
from pointsman.api.caller import sender_of
from pointsman.api.decision_headers import decision_lines
from pointsman.api.dry_run import dry_run
from pointsman.api.health import Ready, health_routes, ping_routes
from pointsman.api.models import model_list, model_of_list
from pointsman.api.queue_priority import own_priority, set_priority
from pointsman.api.realtime import check_offer
from pointsman.api.stages import admitted, ask, plan_of, read_body, routed
from pointsman.api.token_budget import reserve
from pointsman.config import paths
from pointsman.config.model import DIRECT, PathOptions
from pointsman.eager import continue_in_task
from pointsman.errors import NestedTooDeeply, RequestError
from pointsman.formats import ROUTED, Format, by_path
from pointsman.long_body import Body, Received
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forwarded_request import ForwardPlan
from pointsman.routing import queue_fields
from pointsman.routing.body import BodyFields, model_of, read_fields
from pointsman.routing.decision import CategoryChoice, Reason
from pointsman.routing.edits import edited, with_model
from pointsman.routing.explain import describe
from pointsman.routing.router import MAX_MODEL_NAME_CHARACTERS, is_plain
from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route, Routes


def routes(
    begin: Begin,
    ready: Ready,
    not_routed: Callable[[Request, RequestError], Response],
    options: PathOptions = PathOptions(),  # noqa: B008 - it is frozen
) -> Routes:
    """Return all routes of the data port; `not_routed` answers requests for any other path or method."""
    own: dict[str, Work] = {
        "models": _models,
        "model": _model,
        "version": _version,
        "load": _load,
        "dry run": _dry_run,
        "feedback": _feedback,
        "intent": _intent,
        "intents": _batch,
    }
    added = (path for path in map(paths.added, options.add) if not paths.is_listed(path))
    table: dict[paths.DataPath, Work] = {
        **{paths.DataPath("POST", form.path): functools.partial(routed, form) for form in ROUTED},
        **dict.fromkeys((*paths.RELAYED, *added), _relayed),
        **dict.fromkeys(paths.STORED, _stored),
        paths.REALTIME: _realtime,
        **{path: own[name] for name, path in paths.OWN.items()},
    }
    for path in map(paths.removed, options.remove):
        del table[path]
    answered = {path: work for path, work in table.items() if work in (_models, _model, _load)}
    table |= {paths.DataPath("HEAD", path.path): work for path, work in answered.items()}
    recorded = [Route(*path, admitted(begin, path.path, work), eager=True) for path, work in table.items()]
    return Routes([*recorded, *health_routes(ready), *ping_routes()], not_routed)


async def _relayed(backend: Backend, exchange: Exchange) -> Response | None:
    """Relay a request that is not routed: to an endpoint that serves its model, or the default one for an auto name."""
    body = await read_body(backend, exchange)
    if exchange.lease is not None and exchange.lease.counts_tokens:
        body = await reserve(backend, exchange, exchange.lease, body)
    fields = await _fields(backend, body) if exchange.request.is_json else None
    if fields is not None:
        own = own_priority(backend.router, exchange.key, exchange.record.path)
        exchange.priority = await set_priority(backend.router, exchange.key, own, fields)
    model, counted_as = None if fields is None else model_of(fields), by_path(exchange.record.path).counted_as
    if fields is None or model is None or not _means_default(backend, exchange, model):
        await backend.forwarder.forward(exchange, _as_named(backend, exchange, fields, model, body))
    elif counted_as is not None:
        await _count_tokens(counted_as, backend, exchange, body)
    else:
        await _forward_to_default(backend, exchange, fields)
    return None


def _as_named(
    backend: Backend, exchange: Exchange, fields: BodyFields | None, model: str | None, body: Received
) -> ForwardPlan:
    """Return the plan for the model that the client names, if it is known; raises ModelNotAllowed."""
    sent: Body = body
    if fields is not None and model is not None and not is_plain(model):
        model = model.removeprefix(DIRECT)
        sent = with_model(fields, model)
    elif fields is not None and exchange.priority is not None:
        sent = edited(fields, ()).body
    check_model(exchange.key, model)
    if model is None:
        return ForwardPlan(backend.config.vllm_endpoints, sent)
    return ForwardPlan(backend.router.planner.explicit(model, backend.poller.served).endpoints, sent, model)


async def _forward_to_default(backend: Backend, exchange: Exchange, fields: BodyFields) -> None:
    """Forward a request that names no model of vLLM's to the default model."""

    def plan(served: ServedModels) -> ForwardPlan:
        choice = CategoryChoice(None, None, Reason.NO_CATEGORY)
        decision = backend.router.planner.decide(choice, 0.0, served, scope=exchange.scope)
        body = with_model(fields, decision.model)
        return ForwardPlan(decision.endpoints, body, decision.model, adapter=decision.adapter)

    await backend.forwarder.forward(exchange, plan(backend.poller.served), plan)


async def _count_tokens(form: Format, backend: Backend, exchange: Exchange, body: Received) -> None:
    """Have the tokens counted that the request would have, with the system prompt of its category."""
    router = backend.router
    fields = await router.step_scheduler.run(read_fields(body, router.fields))
    asked = await ask(form, backend, exchange, fields)
    exchange.record.phase = "classify"
    chosen = await router.route(asked, sender_of(router, exchange, form.path, fields), remember=False)

    def replan(served: ServedModels) -> ForwardPlan:
        return plan_of(router.again(asked, chosen, served))

    await backend.forwarder.forward(exchange, plan_of(chosen), replan)


def _means_default(backend: Backend, exchange: Exchange, model: str) -> bool:
    """Return whether a name means the default model if nothing is routed; an alias does if no model has it."""
    config = backend.config
    if model in config.auto_names or backend.router.names_model(model, exchange.key):
        return model in config.auto_names
    return model not in backend.poller.served.models() and model not in config.models


async def _fields(backend: Backend, body: Received) -> BodyFields | None:
    """Return the fields for the model and the position in the queue, or None if the body is no JSON object.

    vLLM then reports the error. Raises NestedTooDeeply.
    """
    try:
        return await backend.router.step_scheduler.run(read_fields(body, ("model", *queue_fields.FIELDS)))
    except NestedTooDeeply:
        raise
    except RequestError:
        return None


async def _stored(backend: Backend, exchange: Exchange) -> Response | None:
    body = await read_body(backend, exchange)
    response_id = exchange.request.parameters["id"]
    storing_endpoint, _ = stored.storing_endpoint(backend.config, backend.forwarder, exchange, response_id)
    await backend.forwarder.forward(exchange, ForwardPlan((storing_endpoint,), body))
    return None


async def _realtime(backend: Backend, exchange: Exchange) -> Response | None:
    check_offer(exchange, backend.config.pointsman.cors)
    await backend.forwarder.tunnel(exchange, backend.config.vllm_endpoints)
    return None


async def _models(backend: Backend, exchange: Exchange) -> Response | None:
    return json_response(await _listed(backend, exchange))


async def _model(backend: Backend, exchange: Exchange) -> Response | None:
    listed = await _listed(backend, exchange)
    return json_response(model_of_list(listed, unquote(exchange.request.parameters["name"])))


async def _listed(backend: Backend, exchange: Exchange) -> dict[str, Any]:
    await read_body(backend, exchange)
    await continue_in_task()
    exchange.record.phase = "head"
    served = await backend.poller.refresh()
    return model_list(backend.config, served, int(backend.started), exchange.key)


async def _version(backend: Backend, exchange: Exchange) -> Response | None:
    body = await read_body(backend, exchange)
    await backend.forwarder.forward(exchange, ForwardPlan(backend.config.vllm_endpoints, body))
    return None


async def _load(backend: Backend, _: Exchange) -> Response | None:
    endpoints = backend.forwarder.upstreams.balancer.all.values()
    return json_response({"server_load": sum(endpoint.in_flight for endpoint in endpoints)})


async def _dry_run(backend: Backend, exchange: Exchange) -> Response | None:
    body = await read_body(backend, exchange)
    exchange.record.phase = "classify"
    parsed, chosen = await dry_run(backend.router, body, exchange, backend.forwarder.upstreams.stored)
    exchange.record.original_model = parsed.model and parsed.model[:MAX_MODEL_NAME_CHARACTERS]
    response = json_response(describe(backend.router, parsed, chosen))
    response.lines = decision_lines(chosen)
    return response


async def _feedback(backend: Backend, exchange: Exchange) -> Response | None:
    exchange.request.limit_to(feedback.MAX_FEEDBACK_BODY_BYTES, "the limit of feedback")
    body = await read_body(backend, exchange)
    return json_response(feedback.take(backend.feedback, body, exchange.author, time.time()))


async def _intent(backend: Backend, exchange: Exchange) -> Response | None:
    body = await read_body(backend, exchange)
    await continue_in_task()
    exchange.record.phase = "classify"
    return json_response(await classification.intent(backend.router, body, exchange.key))


async def _batch(backend: Backend, exchange: Exchange) -> Response | None:
    body = await read_body(backend, exchange)
    await continue_in_task()
    exchange.record.phase = "classify"
    return json_response(await classification.batch(backend.router, body, exchange.key))

"""Handle the data port's paths: routing, relaying, models, dry run, classification."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from urllib.parse import unquote

from pointsman.adapters.catalog import ServedModels
from pointsman.adapters.poller import Poller
from pointsman.api import classification, feedback, stored
from pointsman.api.auth import check_model, key_of
from pointsman.api.caller import caller_of, origin_of, stated_ask
from pointsman.api.decision_headers import decision_lines
from pointsman.api.dry_run import dry_run
from pointsman.api.health import Ready, health_routes, ping_routes
from pointsman.api.models import model_list, model_of_list
from pointsman.api.queue_priority import own_priority, set_priority
from pointsman.api.realtime import check_offer
from pointsman.api.token_budget import reserve
from pointsman.config import paths
from pointsman.config.client_keys import ClientKeys
from pointsman.config.model import DIRECT, Config, PathOptions
from pointsman.eager import continue_in_task
from pointsman.errors import HttpError, NestedTooDeeply, RequestError
from pointsman.formats import RESPONSES, ROUTED, Format, by_path
from pointsman.improve.text_recording import keep_text
from pointsman.improve.texts_file import TextsFile
from pointsman.long_body import Body, Received
from pointsman.observability.feedback_file import FeedbackFile
from pointsman.observability.record import Record
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forward import Forwarder
from pointsman.proxy.reroute import ForwardPlan, forward_chosen
from pointsman.routing import queue_fields
from pointsman.routing.body import BodyFields, fields_at_once, model_at_once, model_of, read_fields
from pointsman.routing.decision import CategoryChoice, Reason
from pointsman.routing.edits import PRIORITY_FIELD, edited, with_model
from pointsman.routing.explain import describe
from pointsman.routing.parsed_request import ParsedRequest, known_request, read_request
from pointsman.routing.router import MAX_MODEL_NAME_CHARACTERS, RoutedRequest, Router, is_plain
from pointsman.routing.steps import StepScheduler
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route, Routes


@dataclass(frozen=True, slots=True, eq=False)
class Backend:
    """The parts of one config that handlers call; `started` is the process's start in seconds since the epoch.

    `keys` are the clients', None if they need none; `feedback` is None if none is accepted.
    """

    config: Config
    router: Router
    poller: Poller
    forwarder: Forwarder
    texts: TextsFile | None
    started: float
    keys: ClientKeys | None = None
    feedback: FeedbackFile | None = None
    compare: Callable[[RoutedRequest, Record], None] | None = None
    """Called with each routed request once it was sent, to compare a second classifier with the first."""


# Reading a shorter body takes at most 0.3 ms.
MIN_TURN_BYTES = 4096

Begin = Callable[[Request, str], tuple[Backend, Exchange]]
"""A callback that begins an exchange for a route's path, and returns it with the backend that serves it."""

Work = Callable[[Backend, Exchange], Coroutine[None, None, Response | None]]
"""A handler that returns the response, or None if vLLM's response follows.

It runs in no task until it awaits `continue_in_task`. It reads the body before it waits for anything
else, as the request does not count as in flight until then.
"""


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
    table: dict[paths.DataPath, Work] = {
        **{paths.DataPath("POST", form.path): functools.partial(_routed, form) for form in ROUTED},
        **dict.fromkeys((*paths.RELAYED, *map(paths.added, options.add)), _relayed),
        **dict.fromkeys(paths.STORED, _stored),
        paths.REALTIME: _realtime,
        **{path: own[name] for name, path in paths.OWN.items()},
    }
    for path in map(paths.removed, options.remove):
        del table[path]
    answered = {path: work for path, work in table.items() if work in (_models, _model, _load)}
    table |= {paths.DataPath("HEAD", path.path): work for path, work in answered.items()}
    recorded = [Route(*path, _recorded(begin, path.path, work), eager=True) for path, work in table.items()]
    return Routes([*recorded, *health_routes(ready), *ping_routes()], not_routed)


def _recorded(begin: Begin, path: str, work: Work) -> Handler:
    """Wrap a handler so that every request has a key where one is needed, and exactly one outcome."""

    def handler(request: Request) -> Coroutine[None, None, Response | None]:
        backend, exchange = begin(request, path)
        try:
            exchange.admit()
            if backend.keys is not None:
                exchange.charge_to(key_of(backend.keys, request.head))
        except HttpError as error:
            return exchange.settle(_raise(error))
        return exchange.settle(work(backend, exchange))

    return handler


async def _raise(error: HttpError) -> Response:
    raise error


# --- handlers --------------------------------------------------------------------------------------------------


async def _routed(form: Format, backend: Backend, exchange: Exchange) -> Response | None:
    record, router, forwarder = exchange.record, backend.router, backend.forwarder
    body = await read_body(backend, exchange)
    is_json = _is_json(exchange.request)
    lease = exchange.lease
    if lease is not None and lease.counts_tokens:
        body = await reserve(exchange, lease, router.step_scheduler, body, _usual_answer(backend), is_json=is_json)
    if not is_json:
        check_model(exchange.key, None)
        await forwarder.forward(exchange, backend.config.vllm_endpoints, body)  # vLLM reports the error
        return None
    auto_names = router.auto_names_of(exchange.key)
    own = own_priority(router, exchange.key, form.path)
    model = None if own is not None else model_at_once(body)
    if model is None or model in auto_names or form is RESPONSES:
        names = router.fields
        usual = fields_at_once(body, names)
        fields = await router.step_scheduler.run(read_fields(body, names)) if usual is None else usual
        exchange.priority = await set_priority(router, exchange.key, own, fields)
        model = model or fields.model
    record.original_model = model and model[:MAX_MODEL_NAME_CHARACTERS]
    continued = stored.NOTHING
    if form is RESPONSES:
        continued = stored.continued(backend.config, forwarder, exchange, fields)
    at = continued.at
    if model is not None and model not in auto_names:
        check_model(exchange.key, model.removeprefix(DIRECT))
        named: Body = body
        if is_plain(model) and exchange.priority is None:
            routed = router.explicit(b"", model, at)  # the body is sent unchanged
        else:
            fields = await router.step_scheduler.run(read_fields(body, ("model", PRIORITY_FIELD)))
            fields.priority = exchange.priority
            routed = router.direct(ParsedRequest(form, fields, model), at)
            named = routed.edited.body
        record.decided(routed)
        await forwarder.forward(
            exchange, routed.decision.endpoints, named, decision_lines(routed), routed.decision.model
        )
        return None
    head, scope = exchange.request.head, exchange.scope
    stated = stated_ask(head)
    finder = router.finder_of(exchange.key)
    known = None if stated else known_request(form, fields, finder)
    parsed = await router.step_scheduler.run(read_request(form, fields, finder, stated)) if known is None else known
    record.phase = "classify"
    caller = caller_of(router, exchange.client, head, fields)
    origin = origin_of(router, exchange, form.path)
    routed = await router.route(
        parsed, caller, continued=continued.remembered, at=at, origin=origin, scope=scope, key=exchange.key
    )
    record.decided(routed)
    exchange.hides_usage |= routed.edited.asks_usage
    if backend.texts is not None:
        keep_text(backend.texts, router, record, routed)

    def again(served: ServedModels) -> ForwardPlan:
        other = router.again(parsed, routed, served, at, scope)
        record.decided(other)
        return _plan(other)

    await forward_chosen(forwarder, exchange, _plan(routed), again)
    if backend.compare is not None:
        backend.compare(routed, record)
    return None


def _usual_answer(backend: Backend) -> int:
    return backend.config.pointsman.access.reserved_answer_tokens


def _plan(routed: RoutedRequest) -> ForwardPlan:
    return ForwardPlan(routed.decision, routed.edited.body, decision_lines(routed))


async def _relayed(backend: Backend, exchange: Exchange) -> Response | None:
    body = await read_body(backend, exchange)
    config, planner, poller, forwarder = backend.config, backend.router.planner, backend.poller, backend.forwarder
    is_json = _is_json(exchange.request)
    lease = exchange.lease
    if lease is not None and lease.counts_tokens:
        body = await reserve(
            exchange, lease, backend.router.step_scheduler, body, _usual_answer(backend), is_json=is_json
        )
    fields = await _fields(backend, body) if is_json else None
    if fields is not None:
        own = own_priority(backend.router, exchange.key, exchange.record.path)
        exchange.priority = await set_priority(backend.router, exchange.key, own, fields)
    model = None if fields is None else model_of(fields)
    if fields is None or model is None or not _means_default(backend, exchange, model):
        named: Body = body
        if fields is not None and model is not None and not is_plain(model):
            model = model.removeprefix(DIRECT)
            named = with_model(fields, model)
        elif exchange.priority is not None and fields is not None:
            named = edited(fields, ()).body
        check_model(exchange.key, model)
        endpoints = config.vllm_endpoints if model is None else planner.explicit(model, poller.served).endpoints
        await forwarder.forward(exchange, endpoints, named, model=model or "")
        return None

    counted_as = by_path(exchange.record.path).counted_as
    if counted_as is not None:
        await _counted(counted_as, backend, exchange, body)
        return None

    def plan(served: ServedModels) -> ForwardPlan:  # vLLM has no model of this name
        decision = planner.decide(CategoryChoice(None, None, Reason.NO_CATEGORY), 0.0, served, scope=exchange.scope)
        return ForwardPlan(decision, with_model(fields, decision.model), b"")

    await forward_chosen(forwarder, exchange, plan(poller.served), plan)
    return None


async def _counted(form: Format, backend: Backend, exchange: Exchange, body: Received) -> None:
    """Have the tokens counted that the request would have, with the system prompt of its category."""
    router, head, scope = backend.router, exchange.request.head, exchange.scope
    fields = await router.step_scheduler.run(read_fields(body, router.fields))
    parsed = await router.step_scheduler.run(
        read_request(form, fields, router.finder_of(exchange.key), stated_ask(head))
    )
    exchange.record.phase = "classify"
    caller = caller_of(router, exchange.client, head, fields)
    origin = origin_of(router, exchange, form.path)
    routed = await router.route(parsed, caller, remember=False, origin=origin, scope=scope, key=exchange.key)

    def again(served: ServedModels) -> ForwardPlan:
        return _plan(router.again(parsed, routed, served, None, scope))

    await forward_chosen(backend.forwarder, exchange, _plan(routed), again)


def _means_default(backend: Backend, exchange: Exchange, model: str) -> bool:
    """Return whether a name means the default model if nothing is routed; an alias does if no model has it."""
    config = backend.config
    if model in config.auto_names or model not in backend.router.auto_names_of(exchange.key):
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
    await backend.forwarder.forward(exchange, (storing_endpoint,), body)
    return None


async def _realtime(backend: Backend, exchange: Exchange) -> Response | None:
    check_offer(exchange, backend.config.pointsman.cors)
    await backend.forwarder.tunnel(exchange, backend.config.vllm_endpoints)
    return None


async def _models(backend: Backend, exchange: Exchange) -> Response | None:
    await read_body(backend, exchange)
    await continue_in_task()
    exchange.record.phase = "head"
    served = await backend.poller.refresh()
    return json_response(model_list(backend.config, served, int(backend.started), exchange.key))


async def _model(backend: Backend, exchange: Exchange) -> Response | None:
    await read_body(backend, exchange)
    await continue_in_task()
    exchange.record.phase = "head"
    served = await backend.poller.refresh()
    listed = model_list(backend.config, served, int(backend.started), exchange.key)
    return json_response(model_of_list(listed, unquote(exchange.request.parameters["name"])))


async def _version(backend: Backend, exchange: Exchange) -> Response | None:
    body = await read_body(backend, exchange)
    await backend.forwarder.forward(exchange, backend.config.vllm_endpoints, body)
    return None


async def _load(backend: Backend, _: Exchange) -> Response | None:
    endpoints = backend.forwarder.upstreams.balancer.all.values()
    return json_response({"server_load": sum(endpoint.in_flight for endpoint in endpoints)})


async def _dry_run(backend: Backend, exchange: Exchange) -> Response | None:
    body = await read_body(backend, exchange)
    exchange.record.phase = "classify"
    parsed, routed = await dry_run(backend.router, body, exchange, backend.forwarder.upstreams.stored)
    exchange.record.original_model = parsed.model and parsed.model[:MAX_MODEL_NAME_CHARACTERS]
    response = json_response(describe(backend.router, parsed, routed))
    response.lines = decision_lines(routed)
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


def _is_json(request: Request) -> bool:
    # The first of several counts, as for vLLM.
    kind = request.head.values.get(b"content-type", b"")
    if kind != b"application/json":
        kind = kind.partition(b";")[0].partition(b",")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


def read_body(backend: Backend, exchange: Exchange) -> Coroutine[None, None, Received]:
    """Return the whole body; if many long ones are complete at once, some wait for a turn of the event loop.

    Raises TooBusy, ConcurrencyLimited, or RequestError: 408 on a timeout, 413 if too large, 415 if compressed.
    """
    request, options = exchange.request, backend.config.pointsman.server
    if request.head.values.get(b"content-encoding", b"identity").lower() != b"identity" and request.has_body:
        raise RequestError(
            "compressed request bodies are not accepted; remove Content-Encoding",
            status=415,
            code="unsupported_encoding",
        )
    read = request.read if exchange.in_flight else exchange.read
    body = read(options.body_timeout_ms / 1000, options.min_body_rate)
    step_scheduler = backend.router.step_scheduler
    if exchange.in_flight and (request.size < MIN_TURN_BYTES or step_scheduler.begins()):
        return body
    return _in_turn(step_scheduler, body, waits=exchange.in_flight)


async def _in_turn(step_scheduler: StepScheduler, reading: Coroutine[None, None, Received], *, waits: bool) -> Received:
    body = await reading
    if waits or (len(body) >= MIN_TURN_BYTES and not step_scheduler.begins()):
        await step_scheduler.turn()
    return body

"""The way of a request: one call for each stage, in the order in which they run.

    bytes in -> admission -> auth -> parse -> explicit model? -> ask -> conversation -> rules -> Classifier -> policy
    -> scope of the key -> edits -> forward -> bytes out

Each stage takes a value and returns one. Errors and cancellation pass through `Exchange.run_guarded` alone.
"""

from __future__ import annotations

from collections.abc import Coroutine

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.api import stored
from pointsman.api.auth import check_model, key_of
from pointsman.api.backend import Backend, Begin, Work
from pointsman.api.caller import sender_of, stated_ask
from pointsman.api.decision_headers import decision_lines
from pointsman.api.queue_priority import own_priority, set_priority
from pointsman.api.token_budget import reserve
from pointsman.config.model import DIRECT
from pointsman.errors import HttpError, RequestError
from pointsman.formats import RESPONSES, Format
from pointsman.improve.text_recording import keep_text
from pointsman.long_body import Received
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forwarded_request import ForwardPlan
from pointsman.routing import queue_fields
from pointsman.routing.body import BodyFields, fields_at_once, fields_in_steps, model_of, read_fields
from pointsman.routing.edits import PRIORITY_FIELD
from pointsman.routing.parsed_request import ParsedRequest, read_request
from pointsman.routing.router import MAX_MODEL_NAME_CHARACTERS, RoutedRequest, is_plain
from pointsman.routing.sender import NEW_RESPONSE, Continuation
from pointsman.routing.steps import StepScheduler
from pointsman.server.request import Handler, Request
from pointsman.server.response import Response

# Reading a shorter body takes at most 0.3 ms.
MIN_TURN_BYTES = 4096
# Of a longer body all fields are read at once, as most of them are to be routed.
MAX_MODEL_FIRST_BYTES = 8192
_MODEL_FIRST = ("model", *queue_fields.FIELDS)


def admitted(begin: Begin, path: str, work: Work) -> Handler:
    """Return the handler of a path, which gives every request exactly one outcome."""

    def handler(request: Request) -> Coroutine[None, None, Response | None]:
        backend, exchange = begin(request, path)
        try:
            exchange.admit()  # admission
            if backend.keys is not None:
                exchange.charge_to(key_of(backend.keys, request.head))  # auth
        except HttpError as error:
            return exchange.run_guarded(_raise(error))
        return exchange.run_guarded(work(backend, exchange))

    return handler


async def routed(form: Format, backend: Backend, exchange: Exchange) -> Response | None:
    """Route a request of a format, and forward it."""
    router, forward = backend.router, backend.forwarder.forward
    body = await read_body(backend, exchange)  # bytes in
    if exchange.lease is not None and exchange.lease.counts_tokens:
        body = await reserve(backend, exchange, exchange.lease, body)
    request = await parse(form, backend, exchange, body)  # parse
    fields = request.fields
    if fields is None or router.names_model(request.model, exchange.key):  # explicit model?
        await forward(exchange, explicit(form, backend, exchange, request))
        return None
    asked = await ask(form, backend, exchange, fields)  # ask
    exchange.record.phase = "classify"
    sender = sender_of(router, exchange, form.path, fields, request.continues)
    chosen = await router.choose(asked, sender)  # conversation -> rules -> Classifier -> policy -> scope -> edits
    record_choice(backend, exchange, chosen)

    def replan(served: ServedModels) -> ForwardPlan:
        other = router.again(asked, chosen, served)
        exchange.record.decided(other)
        return plan_of(other)

    await forward(exchange, plan_of(chosen), replan)  # forward
    if backend.compare is not None:
        backend.compare(chosen, exchange.record)
    return None


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


class IncomingRequest(msgspec.Struct, frozen=True, gc=False):
    """A body with the model that the client names, if any, and the stored response that it continues.

    `fields` are those that routing reads, or None if nothing matters but the model, and the body goes as it came.
    """

    body: Received
    model: str | None = None
    fields: BodyFields | None = None
    continues: Continuation = NEW_RESPONSE


async def parse(form: Format, backend: Backend, exchange: Exchange, body: Received) -> IncomingRequest:
    """Read a body as far as routing needs it, nothing of one that is no JSON; raises RequestError.

    An operator's priority is set in the fields and the exchange, and the model is recorded.
    """
    if not exchange.request.is_json:
        return IncomingRequest(body)
    router, key, continues = backend.router, exchange.key, NEW_RESPONSE
    fields: BodyFields | None = None
    own = own_priority(router, key, form.path)
    model = None if own is not None else _model_alone(body)
    if form is RESPONSES or not router.names_model(model, key):
        fields = fields_at_once(body, router.fields)
        if fields is None:
            fields = await router.step_scheduler.run(fields_in_steps(body, router.fields))
        exchange.priority = await set_priority(router, key, own, fields)
        model = model or fields.model
    exchange.record.original_model = model and model[:MAX_MODEL_NAME_CHARACTERS]
    if fields is None and model is not None and not is_plain(model):
        fields = await router.step_scheduler.run(read_fields(body, ("model", PRIORITY_FIELD)))
    elif form is RESPONSES and fields is not None:
        continues = stored.continued(backend.config, backend.forwarder, exchange, fields)
    return IncomingRequest(body, model, fields, continues)


def _model_alone(body: Received) -> str | None:
    """Return the model of a short body of usual form in which the client chooses no position in vLLM's queue."""
    fields = fields_at_once(body, _MODEL_FIRST) if len(body) <= MAX_MODEL_FIRST_BYTES else None
    return None if fields is None or queue_fields.chooses(fields) else model_of(fields)


def explicit(form: Format, backend: Backend, exchange: Exchange, request: IncomingRequest) -> ForwardPlan:
    """Return the plan for a model that the client names, if any can be read; raises ModelNotAllowed."""
    router, model, at = backend.router, request.model, request.continues.at
    if exchange.key is not None:
        check_model(exchange.key, model and model.removeprefix(DIRECT))
    if model is None:
        return ForwardPlan(backend.config.vllm_endpoints, request.body)  # vLLM reports the error
    if request.fields is None:
        named = router.explicit(request.body, model, at)
    else:
        named = router.direct(ParsedRequest(form, request.fields, model), at)
    exchange.record.decided(named)
    return plan_of(named)


async def ask(form: Format, backend: Backend, exchange: Exchange, fields: BodyFields) -> ParsedRequest:
    """Find the ask, unless the client states it in a header."""
    router, stated = backend.router, stated_ask(exchange.request.head)
    return await router.step_scheduler.run(read_request(form, fields, router.finder_of(exchange.key), stated))


def record_choice(backend: Backend, exchange: Exchange, chosen: RoutedRequest) -> None:
    """Record the decision, and store the text that was classified, if texts are stored."""
    exchange.record.decided(chosen)
    exchange.hides_usage |= chosen.edited.asks_usage
    if backend.texts is not None:
        keep_text(backend.texts, backend.router, exchange.record, chosen)


def plan_of(routed: RoutedRequest) -> ForwardPlan:
    """Return the plan to forward a request by a decision."""
    decision = routed.decision
    return ForwardPlan(decision.endpoints, routed.edited.body, decision.model, decision_lines(routed), decision.adapter)


async def _raise(error: HttpError) -> Response:
    raise error

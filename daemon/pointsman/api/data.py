"""The data port's handlers: routed and relayed paths, models, dry run, classification, health."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from urllib.parse import quote

from pointsman.adapters.poller import Card, Served
from pointsman.api import classification as intents
from pointsman.api.service import Service
from pointsman.app.generations import Generations
from pointsman.config.model import Config
from pointsman.eager import in_task
from pointsman.errors import HttpError, RequestError, UpstreamUnreachable, error_body
from pointsman.http1.response_head import request_id
from pointsman.observability.telemetry import Record
from pointsman.proxy.exchange import Exchange, failure, outcome
from pointsman.proxy.forward import forward
from pointsman.proxy.unknown_model import Chosen, ModelRefused
from pointsman.routing import openai
from pointsman.routing.explain import describe
from pointsman.routing.openai import Api
from pointsman.routing.policy import Choice, Decision, Reason
from pointsman.routing.router import Routed
from pointsman.server.client_limiter import Shares
from pointsman.server.messages import Handler, Request, Response, json_response, too_large
from pointsman.server.routes import Route, Routes

# What a client of an inference host has a use for. Everything else that vLLM serves, its LoRA administration and the
# paths that its --api-key leaves open among it, is not reachable through the data port.
RELAYED = (
    ("POST", "/v1/chat/completions/render"),
    ("POST", "/v1/completions/render"),
    ("POST", "/v1/messages/count_tokens"),
    ("GET", "/v1/responses/{id}"),
    ("POST", "/v1/responses/{id}/cancel"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/audio/transcriptions"),
    ("POST", "/v1/audio/translations"),
    ("POST", "/v1/score"),
    ("POST", "/score"),
    ("POST", "/v1/rerank"),
    ("POST", "/v2/rerank"),
    ("POST", "/rerank"),
    ("POST", "/pooling"),
    ("POST", "/classify"),
    ("POST", "/tokenize"),
    ("POST", "/detokenize"),
)

# The fields of the forms that hold a system prompt.
_PROMPTS = {"messages", "system", "instructions"}

Work = Callable[[Exchange], Coroutine[None, None, Response | None]]
"""Answers, or returns None where vLLM's answer is to come. Like every handler, in no task until it asks for one."""

_Plan = tuple[Decision, bytes, bytes]
"""Where a request goes, its body, and the header lines that tell of it."""


def routes(generations: Generations, ready: Callable[[], str | None]) -> Routes:
    """All routes of the data port."""
    table: list[tuple[str, str, Work]] = [
        *(("POST", api.value, functools.partial(_routed, api)) for api in Api),
        *((method, path, _relayed) for method, path in RELAYED),
        ("GET", "/v1/models", _models),
        ("POST", "/v1/route", _dry_run),
        ("POST", "/api/v1/classify/intent", _intent),
        ("POST", "/api/v1/classify/batch", _batch),
    ]
    shares = Shares()
    recorded = [
        Route(method, path, _recorded(generations, shares, path, work), eager=True) for method, path, work in table
    ]
    return Routes([*recorded, *health_routes(ready)], functools.partial(_not_routed, generations))


def readiness(healthy: Callable[[], bool], draining: Callable[[], bool]) -> Callable[[], str | None]:
    """Why no requests should come, or None."""

    def ready() -> str | None:
        if draining():
            return "the service is shutting down"
        return None if healthy() else "the classifier stopped; restart the service"

    return ready


def health_routes(ready: Callable[[], str | None]) -> list[Route]:
    """`/health`: the process answers. `/ready`: it takes requests; `ready` tells why not."""

    async def health(_: Request) -> Response:
        return json_response({"status": "healthy", "service": "pointsman"})

    async def answer(_: Request) -> Response:
        message = ready()
        if message is None:
            return json_response({"status": "ready"})
        return json_response(error_body(message, type="internal_error", param=None, code="not_ready"), status=503)

    both = (("/health", health), ("/ready", answer))
    return [Route(method, path, handler) for path, handler in both for method in ("GET", "HEAD")]


def abandoned(service: Service, request: Request) -> None:
    """A request that was sent ahead by a client that left before its turn came."""
    record = Record(request_id(request.head.values.get(b"x-request-id")), "queued", phase="queue", status=499)
    service.metrics.left.add(record.phase)
    outcome(service, record)


def _recorded(generations: Generations, shares: Shares, path: str, work: Work) -> Handler:
    """Wraps a handler so that every request, however it ends, has one outcome in the log and in the metrics."""

    def handler(request: Request) -> Coroutine[None, None, Response | None]:
        exchange = Exchange(generations, shares, request, path)
        refused = exchange.refused()
        return exchange.settle(work(exchange) if refused is None else _raise(refused))

    return handler


async def _raise(error: HttpError) -> Response:
    raise error


def _not_routed(generations: Generations, request: Request, error: RequestError) -> Response:
    """The answer to a request for what is not listed.

    Its path is the client's, who could make any number of them: it stands in the log, in the error, and is no label.
    """
    service = generations.current
    record = Record(request_id(request.head.values.get(b"x-request-id")), "other")
    response = failure(service, record, error)
    outcome(service, record)
    return response


# --- handlers --------------------------------------------------------------------------------------------------


async def _routed(api: Api, exchange: Exchange) -> Response | None:
    service, record = exchange.service, exchange.record
    body = await read_body(exchange)
    if not _is_json(exchange.request):
        await forward(exchange, service.config.vllm_endpoints, body)  # vLLM says why not
        return None
    record.original_model = model = openai.asked_model(body)
    router = service.router
    if model is not None and model not in router.auto_names:
        routed = router.explicit(body, model)
        record.decided(routed)
        await forward(exchange, routed.decision.endpoints, body, decision_lines(routed))
        return None
    parsed = openai.parse(api, body)
    record.phase = "classify"
    routed = await router.route(parsed)
    record.decided(routed)
    _keep_text(service, parsed.text, routed)

    def again(served: Served) -> _Plan:
        other = router.again(parsed, routed, served)
        record.decided(other)
        return other.decision, other.edited.body, decision_lines(other)

    plan = routed.decision, routed.edited.body, decision_lines(routed)
    await _forward_chosen(exchange, plan, again)
    return None


async def _forward_chosen(
    exchange: Exchange, plan: _Plan, again: Callable[[Served], _Plan], gone: tuple[tuple[str, str], ...] = ()
) -> None:
    """Forward what we chose the model for.

    Where vLLM does not know the adapter, or none that has it can be reached, nothing has begun: the plan is made
    `again`. `gone` are the endpoints and adapters where it was so already.
    """
    decision, body, lines = plan
    record, service = exchange.record, exchange.service

    async def refused(error: ModelRefused) -> None:
        endpoint = record.endpoint or ""
        exchange.retried(endpoint, "adapter", error)
        service.poller.refused(endpoint, decision.model)
        missing = (*gone, (endpoint, decision.model))
        await _forward_chosen(exchange, again(_less(service.poller.served, missing)), again, missing)

    chosen = Chosen(decision.model, refused) if decision.adapter else None
    try:
        await forward(exchange, decision.endpoints, body, lines, chosen)
    except UpstreamUnreachable as error:
        if not decision.adapter:
            raise
        other = again(_less(service.poller.served, gone).down_too(decision.endpoints))
        if other[0].model == decision.model:
            raise
        service.metrics.upstream_errors.add(record.endpoint or "", error.code)
        exchange.retried(record.endpoint or "", "connect", error)
        await _forward_chosen(exchange, other, again, gone)


def _less(served: Served, gone: tuple[tuple[str, str], ...]) -> Served:
    """Also less what vLLM lists again but has refused this request: or the two could take turns for ever."""
    for endpoint, name in gone:
        served = served.without(endpoint, name)
    return served


def _keep_text(service: Service, text: str, routed: Routed) -> None:
    if service.texts is None or routed.classification is None:
        return
    try:
        service.texts.keep(routed.classification.text_hash, service.router.classifier.read(text))
    except OSError as error:  # a full disk is no reason to refuse a request
        service.log.write("warning", "texts_file", message=f"a text was not kept: {error.strerror}")


async def _relayed(exchange: Exchange) -> Response | None:
    body = await read_body(exchange)
    service = exchange.service
    policy, served = service.router.policy, service.poller.served

    def plan(served: Served) -> _Plan:
        decision = policy.decide(Choice(None, None, Reason.NO_CATEGORY), 0.0, served)
        return decision, openai.with_model(body, decision.model), b""

    model = openai.model_of(body) if _is_json(exchange.request) else None
    if model in service.config.auto_names:  # vLLM knows no such model
        await _forward_chosen(exchange, plan(served), plan)
    else:
        endpoints = service.config.vllm_endpoints if model is None else policy.explicit(model, served).endpoints
        await forward(exchange, endpoints, body)
    return None


async def _models(exchange: Exchange) -> Response | None:
    await in_task()
    service = exchange.service
    exchange.record.phase = "head"
    served = await service.poller.refresh()
    cards = served.models() or _configured(service.config)
    auto = Card(service.config.auto_model_name)
    data = [
        {
            "id": card.id,
            "object": "model",
            "created": int(service.started),
            "owned_by": "pointsman" if card is auto else "vllm",
            "root": card.id,
            "parent": card.parent,
            "max_model_len": card.max_model_len,
        }
        for card in (auto, *cards.values())
    ]
    return json_response({"object": "list", "data": data})


async def _dry_run(exchange: Exchange) -> Response | None:
    body = await read_body(exchange)
    service, record = exchange.service, exchange.record
    parsed = openai.parse(openai.form_of(body), body)
    record.original_model = parsed.model
    record.phase = "classify"
    routed = await service.router.route(parsed, remember=False)
    response = json_response(describe(service.router, parsed, routed))
    response.lines = decision_lines(routed)
    return response


async def _intent(exchange: Exchange) -> Response | None:
    body = await read_body(exchange)
    await in_task()
    exchange.record.phase = "classify"
    return json_response(await intents.intent(exchange.service.router, body))


async def _batch(exchange: Exchange) -> Response | None:
    body = await read_body(exchange)
    await in_task()
    exchange.record.phase = "classify"
    return json_response(await intents.batch(exchange.service.router, body))


def _configured(config: Config) -> dict[str, Card]:
    """What the config names, for as long as no endpoint has answered."""
    bases = {base: Card(base) for base in config.model_config}
    return bases | {
        lora.name: Card(lora.name, base) for base, model in config.model_config.items() for lora in model.loras
    }


def decision_lines(routed: Routed) -> bytes:
    """Header lines that tell what was chosen and why; semantic-router's names where it has one."""
    decision = routed.decision
    injected = bool(routed.edited.changed) and not _PROMPTS.isdisjoint(routed.edited.changed)
    lines = _named_lines(decision.model, decision.reason, decision.category, decision.reasoning, injected)
    if decision.confidence is not None:
        lines += b"x-pointsman-confidence: %.4f\r\n" % decision.confidence
    if routed.classification is not None and routed.classification.cut:
        lines += b"x-pointsman-truncated: true\r\n"
    return lines


@functools.lru_cache(1024)
def _named_lines(model: str, reason: Reason, category: str | None, reasoning: bool | None, injected: bool) -> bytes:
    pairs = [("x-vsr-selected-model", model), ("x-pointsman-reason", reason.value)]
    if category is not None:
        pairs.append(("x-vsr-selected-category", category))
    if reasoning is not None:
        pairs.append(("x-vsr-selected-reasoning", "on" if reasoning else "off"))
    if injected:
        pairs.append(("x-vsr-injected-system-prompt", "true"))
    return "".join([f"{name}: {_header_value(value)}\r\n" for name, value in pairs]).encode("ascii")


def _header_value(text: str) -> str:
    """Names from the config may hold any character; a header may not."""
    return text if text.isascii() and text.isprintable() else quote(text)


def _is_json(request: Request) -> bool:
    kind = request.head.values.get(b"content-type", b"").partition(b";")[0].strip().lower()
    return kind == b"application/json" or kind.endswith(b"+json")


async def read_body(exchange: Exchange) -> bytes:
    """The whole body; raises RequestError: 408 when it comes too slowly, 413 too large, 415 compressed."""
    request, options = exchange.request, exchange.service.config.pointsman.server
    if request.head.values.get(b"content-encoding", b"identity").lower() != b"identity":
        raise RequestError("compressed request bodies are not accepted", status=415, code="unsupported_encoding")
    if request.head.length > options.max_body_bytes:
        raise too_large(options.max_body_bytes)
    return await request.read(options.body_timeout_ms / 1000)

"""The data port's handlers: routed and relayed paths, models, dry run, classification, health."""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import msgspec
from aiohttp import web

from pointsman import intents, openai
from pointsman.adapters import Card
from pointsman.config.model import Config, ServerOptions
from pointsman.errors import HttpError, RequestError, UpstreamError, error_body
from pointsman.explain import describe
from pointsman.openai import Api
from pointsman.policy import Choice, Reason
from pointsman.relay.forward import forward
from pointsman.relay.headers import Pairs, request_id
from pointsman.router import Routed, Router
from pointsman.service import Service
from pointsman.telemetry import Record, request_fields

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

_ID = "{id:[A-Za-z0-9_-]+}"  # nothing that could lead out of its place in vLLM's path

Work = Callable[[web.Request, Record], Awaitable[web.StreamResponse]]


def routes(service: Service) -> list[web.RouteDef]:
    """All routes of the data port; a trailing slash is the same path (vLLM would redirect to its own address)."""
    table: list[tuple[str, str, Work]] = [
        *(("POST", api.value, functools.partial(_routed, service, api)) for api in Api),
        *((method, path, functools.partial(_relayed, service)) for method, path in RELAYED),
        ("GET", "/v1/models", functools.partial(_models, service)),
        ("POST", "/v1/route", functools.partial(_dry_run, service)),
        ("POST", "/api/v1/classify/intent", functools.partial(_intent, service)),
        ("POST", "/api/v1/classify/batch", functools.partial(_batch, service)),
    ]
    return [
        web.route(method, path.replace("{id}", _ID) + slash, _recorded(service, path, work))
        for method, path, work in table
        for slash in ("", "/")
    ]


def health_routes(router: Router) -> list[web.RouteDef]:
    """`/health`: the process answers. `/ready`: it can classify."""

    async def health(_: web.Request) -> web.Response:
        return json_response({"status": "healthy", "service": "pointsman"})

    async def ready(_: web.Request) -> web.Response:
        if router.classifier.healthy:
            return json_response({"status": "ready"})
        message = "the classifier stopped; restart the service"
        return json_response(error_body(message, type="internal_error", param=None, code="not_ready"), status=503)

    return [web.get("/health", health), web.get("/ready", ready)]


def json_response(value: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=status, content_type="application/json")


@web.middleware
async def openai_errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Errors of the HTTP server itself (404, 405, ...) in OpenAI's form."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        message = f"{request.method} {request.path}: {error.reason}"
        body = error_body(
            message, type="invalid_request_error", param=None, code=error.reason.lower().replace(" ", "_")
        )
        response = json_response(body, error.status)
        if allow := error.headers.get("Allow"):
            response.headers["Allow"] = allow
        return response


def _recorded(service: Service, path: str, work: Work) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Wraps a handler so that every request, however it ends, has one outcome in the log and in the metrics."""

    async def handler(request: web.Request) -> web.StreamResponse:
        record = Record(request_id(request.headers.get("X-Request-Id")), path)
        service.metrics.in_flight.inc()
        try:
            response = await work(request, record)
            record.status = response.status
        except HttpError as error:
            response = _error_response(service, record, error)
        except (asyncio.CancelledError, ConnectionResetError):
            record.status = 499  # nginx's number for a client that closed the connection
            service.metrics.left.labels(record.phase).inc()
            raise
        except Exception:  # noqa: BLE001 - the last resort: whatever it is, the client gets an answer
            service.log.write("error", "internal_error", request_id=record.request_id, traceback=traceback.format_exc())
            response = _error_response(service, record, HttpError("internal error; see the service's log"))
        finally:
            service.metrics.in_flight.dec()
            service.metrics.count(record)
            if service.config.pointsman.log.requests:
                event = "request" if record.routed is None else "routing_decision"
                service.log.write("info", event, **request_fields(record))
        return response

    return handler


def _error_response(service: Service, record: Record, error: HttpError) -> web.Response:
    record.status, record.error = error.status, error.message
    if isinstance(error, UpstreamError):
        service.metrics.upstream_errors.labels(record.endpoint or "", error.code).inc()
    response = json_response(error.body(), error.status)
    response.headers["X-Request-Id"] = record.request_id
    if error.status in {408, 413}:
        response.force_close()  # what is left of the body will never be read
    return response


# --- handlers --------------------------------------------------------------------------------------------------


async def _routed(service: Service, api: Api, request: web.Request, record: Record) -> web.StreamResponse:
    body = await read_body(request, service.config.pointsman.server)
    if not _is_json(request):
        return await forward(service, request, record, service.config.vllm_endpoints, body, [])  # vLLM says why not
    parsed = openai.parse(api, body)
    record.original_model = parsed.model
    record.phase = "classify"
    routed = await service.router.route(parsed)
    record.routed = routed
    _keep_text(service, parsed.text, routed)
    return await forward(
        service, request, record, routed.decision.endpoints, routed.edited.body, decision_headers(routed)
    )


def _keep_text(service: Service, text: str, routed: Routed) -> None:
    if service.texts is None or routed.classification is None:
        return
    try:
        service.texts.keep(routed.classification.text_hash, service.router.classifier.read(text))
    except OSError as error:  # a full disk is no reason to refuse a request
        service.log.write("warning", "texts_file", message=f"a text was not kept: {error.strerror}")


async def _relayed(service: Service, request: web.Request, record: Record) -> web.StreamResponse:
    body = await read_body(request, service.config.pointsman.server)
    policy, served = service.router.policy, service.poller.served
    endpoints = service.config.vllm_endpoints
    model = openai.model_of(body) if _is_json(request) else None
    if model in service.config.auto_names:  # vLLM knows no such model
        decision = policy.decide(Choice(None, None, Reason.NO_CATEGORY), 0.0, served)
        endpoints, body = decision.endpoints, openai.with_model(body, decision.model)
    elif model is not None:
        endpoints = policy.explicit(model, served).endpoints
    return await forward(service, request, record, endpoints, body or None, [])


async def _models(service: Service, request: web.Request, record: Record) -> web.StreamResponse:
    record.phase = "upstream"
    served = await service.poller.refresh()
    cards = {card.id: card for cards in served.cards.values() for card in cards} or _configured(service.config)
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


async def _dry_run(service: Service, request: web.Request, record: Record) -> web.StreamResponse:
    body = await read_body(request, service.config.pointsman.server)
    parsed = openai.parse(openai.form_of(body), body)
    record.original_model = parsed.model
    record.phase = "classify"
    routed = await service.router.route(parsed, remember=False)
    response = json_response(describe(service.router, parsed, routed))
    response.headers.extend(decision_headers(routed))
    return response


async def _intent(service: Service, request: web.Request, record: Record) -> web.StreamResponse:
    body = await read_body(request, service.config.pointsman.server)
    record.phase = "classify"
    return json_response(await intents.intent(service.router, body))


async def _batch(service: Service, request: web.Request, record: Record) -> web.StreamResponse:
    body = await read_body(request, service.config.pointsman.server)
    record.phase = "classify"
    return json_response(await intents.batch(service.router, body))


def _configured(config: Config) -> dict[str, Card]:
    """What the config names, for as long as no endpoint has answered."""
    bases = {base: Card(base) for base in config.model_config}
    return bases | {
        lora.name: Card(lora.name, base) for base, model in config.model_config.items() for lora in model.loras
    }


def decision_headers(routed: Routed) -> Pairs:
    """What was chosen and why; semantic-router's names where it has one."""
    decision = routed.decision
    pairs = [("x-vsr-selected-model", decision.model), ("x-pointsman-reason", decision.reason.value)]
    if decision.category is not None:
        pairs.append(("x-vsr-selected-category", decision.category))
    if decision.reasoning is not None:
        pairs.append(("x-vsr-selected-reasoning", "on" if decision.reasoning else "off"))
    if not {"messages", "system", "instructions"}.isdisjoint(routed.edited.changed):
        pairs.append(("x-vsr-injected-system-prompt", "true"))
    if decision.confidence is not None:
        pairs.append(("x-pointsman-confidence", f"{decision.confidence:.4f}"))
    if routed.classification is not None and routed.classification.cut:
        pairs.append(("x-pointsman-truncated", "true"))
    return [(name, _header_value(value)) for name, value in pairs]


def _header_value(text: str) -> str:
    """Names from the config may hold any character; a header may not."""
    return text if text.isascii() and text.isprintable() else quote(text)


def _is_json(request: web.Request) -> bool:
    return request.content_type == "application/json" or request.content_type.endswith("+json")


async def read_body(request: web.Request, options: ServerOptions) -> bytes:
    """The whole body; raises RequestError: 408 when it comes too slowly, 413 too large, 415 compressed."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestError("compressed request bodies are not accepted", status=415, code="unsupported_encoding")
    too_large = RequestError(
        f"the body is larger than {options.max_body_bytes} bytes (pointsman.server.max_body_bytes)",
        status=413,
        code="body_too_large",
    )
    if (request.content_length or 0) > options.max_body_bytes:
        raise too_large
    try:
        async with asyncio.timeout(options.body_timeout_ms / 1000):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise too_large from None
    except TimeoutError:
        raise RequestError("the body did not arrive in time", status=408, code="request_timeout") from None

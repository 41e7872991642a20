"""The data port's handlers: routed and relayed paths, models, dry run, classification, health."""

from __future__ import annotations

import asyncio
import functools
import traceback
from collections.abc import Awaitable, Callable
from urllib.parse import quote

from pointsman import intents, openai
from pointsman.adapters import Card, Served
from pointsman.config.model import Config
from pointsman.errors import HttpError, OverShare, RequestError, ShuttingDown, TooBusy, UpstreamError, error_body
from pointsman.explain import describe
from pointsman.generations import Generations
from pointsman.http.message import Request, Response, error_response, json_response, too_large
from pointsman.http.routes import Route, Routes
from pointsman.openai import Api
from pointsman.policy import Choice, Decision, Reason
from pointsman.relay.forward import forward, retried
from pointsman.relay.head import request_id
from pointsman.relay.refusal import ModelRefused
from pointsman.router import Routed
from pointsman.service import Service
from pointsman.shares import Shares
from pointsman.telemetry import Record, request_line

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

Work = Callable[[Service, Request, Record], Awaitable[Response | None]]
"""Answers, or returns None where the answer was written and its status is in the record."""

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
    recorded = [Route(method, path, _recorded(generations, shares, path, work)) for method, path, work in table]
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
    record = Record(request_id(request.headers.get("X-Request-Id")), "queued", phase="queue", status=499)
    service.metrics.left.add(record.phase)
    _outcome(service, record)


def _recorded(
    generations: Generations, shares: Shares, path: str, work: Work
) -> Callable[[Request], Awaitable[Response | None]]:
    """Wraps a handler so that every request, however it ends, has one outcome in the log and in the metrics."""
    metrics = generations.metrics

    async def handler(request: Request) -> Response | None:
        service = generations.enter()
        record = Record(request_id(request.headers.get("X-Request-Id")), path)
        response: Response | None = None
        metrics.in_flight += 1
        lease = ""
        try:
            lease = _admit(service, shares, request)
            response = await work(service, request, record)
            if response is not None:
                record.status = response.status
        except HttpError as error:
            response = _failed(service, record, error)
        except asyncio.CancelledError:
            if request.connection.transport.is_closing():
                record.status = 499  # nginx's number for a client that closed the connection
                metrics.left.add(record.phase)
                raise
            response = _failed(service, record, ShuttingDown("the service is shutting down"))
        except Exception:  # noqa: BLE001 - the last resort: whatever it is, the client gets an answer
            service.log.write("error", "internal_error", request_id=record.request_id, traceback=traceback.format_exc())
            response = _failed(service, record, HttpError("internal error; see the service's log"))
        finally:
            metrics.in_flight -= 1
            if lease:
                shares.give_back(lease)
            _outcome(service, record)
            generations.leave(service)
        return response

    return handler


def _admit(service: Service, shares: Shares, request: Request) -> str:
    """The lease of a request, which counts already, empty where none is needed; raises TooBusy and OverShare."""
    limits, refused = service.config.pointsman.server, service.metrics.refused
    if service.metrics.in_flight > limits.max_in_flight:
        refused.add("in_flight")
        raise TooBusy("too many requests at once (pointsman.server.max_in_flight)")
    if not limits.max_in_flight_per_client:
        return ""
    try:
        return shares.take(request.connection, limits.max_in_flight_per_client)
    except OverShare:
        refused.add("client")
        raise


def _not_routed(generations: Generations, request: Request, error: RequestError) -> Response:
    """The answer to a request for what is not listed.

    Its path is the client's, who could make any number of them: it stands in the log, in the error, and is no label.
    """
    service = generations.current
    record = Record(request_id(request.headers.get("X-Request-Id")), "other")
    response = _failed(service, record, error)
    _outcome(service, record)
    return response


def _outcome(service: Service, record: Record) -> None:
    service.metrics.count(record)
    if service.config.pointsman.log.requests:
        event = "request" if record.routed is None else "routing_decision"
        service.log.soon(request_line(event, record))


def _failed(service: Service, record: Record, error: HttpError) -> Response:
    record.status, record.error = error.status, error.message
    if isinstance(error, UpstreamError):
        service.metrics.upstream_errors.add(record.endpoint or "", error.code)
    if error.code == "request_timeout":
        service.metrics.refused.add("body_timeout")
    response = error_response(error)
    response.headers.append(("X-Request-Id", record.request_id))
    return response


# --- handlers --------------------------------------------------------------------------------------------------


async def _routed(api: Api, service: Service, request: Request, record: Record) -> Response | None:
    body = await read_body(service, request)
    if not _is_json(request):
        await forward(service, request, record, service.config.vllm_endpoints, body)  # vLLM says why not
        return None
    record.original_model = model = openai.asked_model(body)
    router = service.router
    if model is not None and model not in router.auto_names:
        routed = record.routed = router.explicit(body, model)
        await forward(service, request, record, routed.decision.endpoints, body, decision_lines(routed))
        return None
    parsed = openai.parse(api, body)
    record.phase = "classify"
    routed = record.routed = await router.route(parsed)
    _keep_text(service, parsed.text, routed)

    def again(served: Served) -> _Plan:
        other = record.routed = router.again(parsed, routed, served)
        return other.decision, other.edited.body, decision_lines(other)

    plan = routed.decision, routed.edited.body, decision_lines(routed)
    await _forward_chosen(service, request, record, plan, again)
    return None


async def _forward_chosen(
    service: Service, request: Request, record: Record, plan: _Plan, again: Callable[[Served], _Plan]
) -> None:
    """Forward what we chose the model for. While vLLM does not know the adapter, the plan is made `again`."""
    gone: list[tuple[str, str]] = []
    while True:
        decision, body, lines = plan
        chosen = decision.model if decision.adapter else None
        try:
            await forward(service, request, record, decision.endpoints, body, lines, chosen)
        except ModelRefused as refused:
            endpoint = record.endpoint or ""
            retried(service, record, endpoint, "adapter", refused)
            service.poller.refused(endpoint, decision.model)
            gone.append((endpoint, decision.model))
            served = service.poller.served
            for missing in gone:  # also where vLLM's list has it again: or the two could take turns for ever
                served = served.without(*missing)
            plan = again(served)
        else:
            return


def _keep_text(service: Service, text: str, routed: Routed) -> None:
    if service.texts is None or routed.classification is None:
        return
    try:
        service.texts.keep(routed.classification.text_hash, service.router.classifier.read(text))
    except OSError as error:  # a full disk is no reason to refuse a request
        service.log.write("warning", "texts_file", message=f"a text was not kept: {error.strerror}")


async def _relayed(service: Service, request: Request, record: Record) -> Response | None:
    body = await read_body(service, request)
    policy, served = service.router.policy, service.poller.served

    def plan(served: Served) -> _Plan:
        decision = policy.decide(Choice(None, None, Reason.NO_CATEGORY), 0.0, served)
        return decision, openai.with_model(body, decision.model), b""

    model = openai.model_of(body) if _is_json(request) else None
    if model in service.config.auto_names:  # vLLM knows no such model
        await _forward_chosen(service, request, record, plan(served), plan)
    else:
        endpoints = service.config.vllm_endpoints if model is None else policy.explicit(model, served).endpoints
        await forward(service, request, record, endpoints, body)
    return None


async def _models(service: Service, request: Request, record: Record) -> Response | None:
    record.phase = "head"
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


async def _dry_run(service: Service, request: Request, record: Record) -> Response | None:
    body = await read_body(service, request)
    parsed = openai.parse(openai.form_of(body), body)
    record.original_model = parsed.model
    record.phase = "classify"
    routed = await service.router.route(parsed, remember=False)
    response = json_response(describe(service.router, parsed, routed))
    response.lines = decision_lines(routed)
    return response


async def _intent(service: Service, request: Request, record: Record) -> Response | None:
    body = await read_body(service, request)
    record.phase = "classify"
    return json_response(await intents.intent(service.router, body))


async def _batch(service: Service, request: Request, record: Record) -> Response | None:
    body = await read_body(service, request)
    record.phase = "classify"
    return json_response(await intents.batch(service.router, body))


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
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


async def read_body(service: Service, request: Request) -> bytes:
    """The whole body; raises RequestError: 408 when it comes too slowly, 413 too large, 415 compressed."""
    options = service.config.pointsman.server
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise RequestError("compressed request bodies are not accepted", status=415, code="unsupported_encoding")
    if int(request.headers.get("Content-Length", 0)) > options.max_body_bytes:
        raise too_large(options.max_body_bytes)
    return await request.read(options.body_timeout_ms / 1000)

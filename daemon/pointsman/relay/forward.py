"""A request on its way to vLLM, and the answer on its way back."""

from __future__ import annotations

from contextlib import aclosing

import msgspec
from aiohttp import web

from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamError
from pointsman.relay.headers import Pairs, to_client, to_upstream
from pointsman.relay.upstream import Answer
from pointsman.relay.usage import Tail
from pointsman.service import Service
from pointsman.telemetry import Record


async def forward(
    service: Service,
    request: web.Request,
    record: Record,
    candidates: tuple[Endpoint, ...],
    body: bytes | None,
    ours: Pairs,
) -> web.StreamResponse:
    """Send a request to one of `candidates` and pass the answer on as it comes, with `ours` among its headers.

    Raises UpstreamError as long as nothing was answered; an answer that breaks later is ended as a broken one.
    """
    relay = service.config.pointsman.relay
    headers = to_upstream(
        request.headers.items(),
        request_id=record.request_id,
        api_key=service.upstream.api_key,
        pass_credentials=relay.forward_authorization,
    )
    target = record.path.format_map(request.match_info) + (
        f"?{request.rel_url.raw_query_string}" if request.query_string else ""
    )
    with service.endpoints.lease(candidates) as endpoint:
        record.endpoint = endpoint.name
        record.phase = "upstream"
        async with service.upstream.send(endpoint, request.method, target, headers, body) as answer:
            record.upstream = answer.seconds
            response = _head(answer, record, ours)
            await response.prepare(request)
            record.phase = "stream"
            await _stream(service, request, record, answer, response)
    return response


def _head(answer: Answer, record: Record, ours: Pairs) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    response.headers.extend(to_client(answer.headers))
    response.headers.extend(ours)
    response.headers["X-Request-Id"] = record.request_id
    if timing := record.server_timing():
        response.headers["Server-Timing"] = timing
    if answer.streams:
        response.headers["X-Accel-Buffering"] = "no"  # or an nginx in front would hold the stream back
    return response


async def _stream(
    service: Service, request: web.Request, record: Record, answer: Answer, response: web.StreamResponse
) -> None:
    tail = Tail()
    try:
        async with aclosing(answer.chunks()) as chunks:
            async for chunk in chunks:
                tail.feed(chunk)
                await response.write(chunk)
    except UpstreamError as error:
        record.error = error.message
        service.metrics.upstream_errors.labels(record.endpoint or "", error.code).inc()
        if answer.streams:
            await response.write(b"\n\ndata: " + msgspec.json.encode(error.body()) + b"\n\n")
        if request.transport is not None:
            request.transport.close()  # without the last chunk: the client sees that the answer is not whole
        return
    record.tokens = tail.tokens()
    await response.write_eof()

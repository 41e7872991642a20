"""A request on its way to vLLM: which endpoint, which connection, and what may be tried again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pointsman.errors import ShuttingDown, UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from pointsman.relay.channel import NotStarted
from pointsman.relay.head import Head, request_lines
from pointsman.relay.passage import Passage

if TYPE_CHECKING:
    from pointsman.config.model import Endpoint
    from pointsman.http.message import Request
    from pointsman.relay.channel import Channel
    from pointsman.relay.endpoints import Upstream
    from pointsman.service import Service
    from pointsman.telemetry import Record

# What an overloaded vLLM does not say: when to come again.
RETRY_AFTER = b"Retry-After: 1\r\n"
_ENDPOINT_FAILS = frozenset({502, 503, 504})


async def forward(
    service: Service,
    request: Request,
    record: Record,
    candidates: tuple[Endpoint, ...],
    body: bytes,
    ours: bytes = b"",
) -> None:
    """Send a request to one of `candidates` and pass the answer on as it comes, with the header lines `ours`.

    Raises UpstreamError as long as nothing was answered; an answer that breaks later is ended as a broken one.
    """
    message = _Message(service, request, record, body)
    tried: list[str] = []
    upstream = service.endpoints.choose(candidates, service.loop.time())
    while upstream is not None:
        record.endpoint = upstream.name
        upstream.began(service.loop.time())
        try:
            await _exchange(service, request, record, upstream, message, ours)
        except UpstreamUnreachable as error:
            # Nothing was sent, so another endpoint may have it.
            tried.append(upstream.name)
            other = service.endpoints.choose(candidates, service.loop.time(), tried)
            if other is None:
                raise
            record.retried.append({"endpoint": upstream.name, "why": "connect", "proof": error.message})
            service.metrics.upstream_errors.labels(upstream.name, error.code).inc()
            service.metrics.retries.labels("connect").inc()
        else:
            other = None
        finally:
            upstream.ended()
        upstream = other


class _Message:
    """The request as bytes, but for what differs between endpoints."""

    __slots__ = ("_first", "_lines", "body")

    def __init__(self, service: Service, request: Request, record: Record, body: bytes) -> None:
        target = record.path.format_map(request.parameters) if request.parameters else record.path
        if request.query:
            target = f"{target}?{request.query}"
        self._first = target.encode("utf-8", "surrogateescape"), request.method.encode()
        connection = ",".join(request.headers.getall("Connection")) if "Connection" in request.headers else None
        lines = request_lines(request.raw_headers, connection, credentials=service.pass_credentials)
        length = b"Content-Length: %d\r\n" % len(body) if body or request.method != "GET" else b""
        lines.append(b"X-Request-Id: %b\r\n%b%b\r\n" % (record.request_id.encode(), service.key_line, length))
        self._lines = b"".join(lines)
        self.body = body

    def head(self, upstream: Upstream) -> bytes:
        pool = upstream.pool
        target, method = self._first
        return b"%b %b%b HTTP/1.1\r\n%b%b" % (method, pool.prefix, target, pool.host_line, self._lines)


async def _exchange(
    service: Service, request: Request, record: Record, upstream: Upstream, message: _Message, ours: bytes
) -> None:
    """One endpoint; raises UpstreamUnreachable where it was not reached, else as `forward` does."""
    channel = upstream.pool.take() or await _connect(service, record, upstream)
    error = await _send(service, request, record, upstream, channel, message, ours)
    if isinstance(error, NotStarted):
        # A connection that vLLM closed while it was idle, before it could have read the request: not one byte came.
        record.retried.append({"endpoint": upstream.name, "why": "reused", "proof": error.message})
        service.metrics.retries.labels("reused").inc()
        channel = await _connect(service, record, upstream)
        error = await _send(service, request, record, upstream, channel, message, ours)
    if error is not None and not record.status:
        raise error


async def _connect(service: Service, record: Record, upstream: Upstream) -> Channel:
    record.phase = "connect"
    try:
        channel = await upstream.pool.connect()
    except UpstreamUnreachable as error:
        service.endpoints.failed(upstream, "no connection", service.loop.time())
        service.endpoints.unreachable(upstream, error.message)
        raise
    return channel


async def _send(
    service: Service,
    request: Request,
    record: Record,
    upstream: Upstream,
    channel: Channel,
    message: _Message,
    ours: bytes,
) -> UpstreamError | None:
    """One attempt on one connection. Ends with the answer, or with what went wrong: already told to the client where
    `record.status` is set, unanswered where it is not."""
    record.phase = "head"

    def tell(passage: Passage, head: Head) -> bytes:
        record.phase = "stream"
        record.upstream = passage.seconds
        lines = b"%bX-Request-Id: %b\r\nServer-Timing: %b\r\n" % (
            ours,
            record.request_id.encode(),
            record.server_timing().encode(),
        )
        if head.streams:
            lines += b"X-Accel-Buffering: no\r\n"  # or an nginx in front would hold the stream back
        if head.status == 503 and not head.retry_after:
            lines += RETRY_AFTER
        return lines

    passage = Passage(request, tell, service.timeouts)
    try:
        passage.begin(channel, message.head(upstream), message.body)
        error = await passage.done
    except asyncio.CancelledError:
        record.status = passage.status
        if request.connection.transport.is_closing() or not passage.status:
            passage.give_up()
            raise
        passage.give_up(ShuttingDown("the service is shutting down"))
        record.error = "the service is shutting down"
        return None
    record.status = passage.status
    _judge(service, record, upstream, passage, error)
    return error


def _judge(service: Service, record: Record, upstream: Upstream, passage: Passage, error: UpstreamError | None) -> None:
    """What the answer says of the endpoint, and of the request for the log."""
    if error is not None:
        if isinstance(error, NotStarted):
            return
        if passage.status:
            record.error = error.message
            service.metrics.upstream_errors.labels(upstream.name, error.code).inc()
        if isinstance(error, UpstreamBroken | UpstreamTimeout):
            service.endpoints.failed(upstream, error.message, service.loop.time())
        return
    record.tokens = passage.tail.tokens()
    if passage.status in _ENDPOINT_FAILS:
        service.endpoints.failed(upstream, f"status {passage.status}", service.loop.time())
    elif passage.streams and passage.tail.failed():
        record.error = "vLLM ended its stream with an error"
        service.metrics.upstream_errors.labels(upstream.name, "in_stream").inc()
        service.endpoints.failed(upstream, "an error in a stream", service.loop.time())
    else:
        service.endpoints.succeeded(upstream)

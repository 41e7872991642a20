"""A request on its way to vLLM: which endpoint, which connection, and what may be tried again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pointsman.errors import ShuttingDown, UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from pointsman.relay.channel import NotStarted
from pointsman.relay.head import request_lines
from pointsman.relay.passage import Passage
from pointsman.relay.refusal import ModelRefused

if TYPE_CHECKING:
    from pointsman.config.model import Endpoint
    from pointsman.http.message import Request
    from pointsman.relay.endpoints import Upstream
    from pointsman.service import Service
    from pointsman.telemetry import Record

_ENDPOINT_FAILS = frozenset({502, 503, 504})


async def forward(
    service: Service,
    request: Request,
    record: Record,
    candidates: tuple[Endpoint, ...],
    body: bytes,
    ours: bytes = b"",
    chosen: str | None = None,
) -> None:
    """Send a request to one of `candidates` and pass the answer on as it comes, with the header lines `ours`.

    Raises UpstreamError as long as nothing was answered; an answer that breaks later is ended as a broken one.
    `chosen` is the model name in the body if the client did not ask for it: where vLLM does not know it, ModelRefused
    is raised.
    """
    job = _Job(service, request, record, candidates, body, ours, chosen)
    upstream = service.endpoints.choose(candidates, service.loop.time())
    while upstream is not None:
        upstream.in_flight += 1
        try:
            following = await job.attempt(upstream)
        finally:
            upstream.in_flight -= 1
        upstream = following


class _Job:
    """A request until it is answered."""

    __slots__ = (
        "_body",
        "_candidates",
        "_chosen",
        "_lines",
        "_ours",
        "_record",
        "_request",
        "_reusing",
        "_service",
        "_tried",
    )

    def __init__(
        self,
        service: Service,
        request: Request,
        record: Record,
        candidates: tuple[Endpoint, ...],
        body: bytes,
        ours: bytes,
        chosen: str | None,
    ) -> None:
        self._service = service
        self._chosen = chosen
        self._request = request
        self._record = record
        self._candidates = candidates
        self._body = body
        self._tried: list[str] = []
        self._reusing = True
        id_line = b"X-Request-Id: %b\r\n" % record.request_id.encode()
        self._ours = ours + id_line
        headers = request.headers
        connection = ",".join(headers.getall("Connection")) if "Connection" in headers else None
        length = b"" if request.method == "GET" and not body else b"Content-Length: %d\r\n" % len(body)
        self._lines = b"%b%b%b%b\r\n" % (
            request_lines(request.raw_headers, connection, credentials=service.pass_credentials),
            id_line,
            service.key_line,
            length,
        )

    async def attempt(self, upstream: Upstream) -> Upstream | None:
        """One connection to one endpoint. None when the request is answered, else who has it next."""
        service, record, request = self._service, self._record, self._request
        now = service.loop.time()
        record.endpoint = upstream.name
        upstream.breaker.sent(now)
        channel = upstream.pool.take() if self._reusing else None
        if channel is None:
            record.phase = "connect"
            try:
                channel = await upstream.pool.connect()
            except UpstreamUnreachable as unreachable:
                return self._unreachable(upstream, unreachable)
        record.phase = "head"
        passage = Passage(request, record, self._ours, service.watch, self._chosen)
        try:
            passage.begin(channel, self._head(upstream), self._body)
            error = await passage.done
        except asyncio.CancelledError:
            if request.connection.transport.is_closing() or not passage.status:
                passage.give_up()
                raise
            stopping = ShuttingDown("the service is shutting down")
            passage.give_up(stopping)
            record.status, record.error = passage.status, stopping.message
            return None
        if isinstance(error, NotStarted):
            # vLLM closed the connection while it was idle, so it cannot have read the request.
            self._reusing = False
            self._retried(upstream, "reused", error)
            return upstream
        record.status = passage.status
        _judge(service, record, upstream, passage, error)
        if error is not None and not passage.status:
            raise error
        return None

    def _head(self, upstream: Upstream) -> bytes:
        request, pool, path = self._request, upstream.pool, self._record.path
        target = path.format_map(request.parameters) if request.parameters else path
        if request.query:
            target = f"{target}?{request.query}"
        return b"%b %b%b HTTP/1.1\r\n%b%b" % (
            request.method.encode(),
            pool.prefix,
            target.encode("utf-8", "surrogateescape"),
            pool.host_line,
            self._lines,
        )

    def _unreachable(self, upstream: Upstream, error: UpstreamUnreachable) -> Upstream:
        """Nothing was sent, so another endpoint may have it; raises the error where there is none."""
        endpoints, now = self._service.endpoints, self._service.loop.time()
        endpoints.failed(upstream, "no connection", now)
        endpoints.unreachable(upstream, error.message)
        self._tried.append(upstream.name)
        other = endpoints.choose(self._candidates, now, self._tried)
        if other is None:
            raise error
        self._service.metrics.upstream_errors.add(upstream.name, error.code)
        self._retried(upstream, "connect", error)
        return other

    def _retried(self, upstream: Upstream, why: str, error: UpstreamError) -> None:
        retried(self._service, self._record, upstream.name, why, error)


def retried(service: Service, record: Record, endpoint: str, why: str, error: UpstreamError) -> None:
    """Count and log that a request is sent again, and why it cannot have started at `endpoint`."""
    record.retried = [*(record.retried or ()), {"endpoint": endpoint, "why": why, "proof": error.message}]
    service.metrics.retries.add(why)


def _judge(service: Service, record: Record, upstream: Upstream, passage: Passage, error: UpstreamError | None) -> None:
    """What the answer says of the endpoint, and of the request for the log."""
    endpoints, metrics = service.endpoints, service.metrics
    if error is not None:
        if passage.status:
            record.error = error.message
            metrics.upstream_errors.add(upstream.name, error.code)
        if isinstance(error, UpstreamBroken | UpstreamTimeout):
            endpoints.failed(upstream, error.message, service.loop.time())
        elif isinstance(error, ModelRefused):
            endpoints.succeeded(upstream)
        return
    record.tokens = passage.tail.tokens()
    if passage.status in _ENDPOINT_FAILS:
        endpoints.failed(upstream, f"status {passage.status}", service.loop.time())
    elif passage.streams and passage.tail.failed():
        record.error = "vLLM ended its stream with an error"
        metrics.upstream_errors.add(upstream.name, "in_stream")
        endpoints.failed(upstream, "an error in a stream", service.loop.time())
    else:
        endpoints.succeeded(upstream)

"""Send a request to vLLM: choose an endpoint and a connection, and retry what vLLM cannot have started."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Protocol

from pointsman.adapters.catalog import Served
from pointsman.config.model import Endpoint
from pointsman.eager import in_task
from pointsman.errors import (
    RequestError,
    ShuttingDown,
    UpstreamBroken,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from pointsman.http1.forwarded_headers import forwarded_headers
from pointsman.observability.metrics import Metrics
from pointsman.proxy.client_identity import client_identity
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.quarantine import CONFIRM_SECONDS, LARGEST_BODY_BYTES, MOST_SUSPECTS, Quarantine, Suspect
from pointsman.proxy.response_stream import ResponseStream
from pointsman.proxy.timeouts import Timeouts
from pointsman.proxy.unknown_model import UnknownModel
from pointsman.server.byte_budget import SMALL_BYTES
from pointsman.upstream.connection import NotStarted
from pointsman.upstream.endpoint_state import EndpointState
from pointsman.upstream.load_balancer import LoadBalancer

_ENDPOINT_FAILS = frozenset({502, 503, 504})
_UNAUTHORIZED = frozenset({401, 403})
# vLLM takes at least so long to start; a client that asks sooner asks in vain.
RESTART_SECONDS = 5

Instead = Callable[[UnknownModel], Coroutine[None, None, None]]
"""Continues a request where vLLM does not know its model."""


class Catalog(Protocol):
    """What is known to be served, which a 404 of vLLM's corrects."""

    served: Served

    def refused(self, endpoint: str, name: str) -> None:
        """Note that an endpoint does not know a model."""

    def wake(self, endpoint: str) -> None:
        """Read an endpoint's list now, which tells whether it accepts the key."""


@dataclass(frozen=True, slots=True, eq=False)
class Forwarder:
    """Forward the requests of one config.

    `key_line` is the header line with vLLM's API key, empty without one; `pass_credentials` allows the client's own
    credentials through; `quarantine` is None where no request is refused for what it did.
    """

    balancer: LoadBalancer
    catalog: Catalog
    timeouts: Timeouts
    metrics: Metrics
    loop: asyncio.AbstractEventLoop
    key_line: bytes
    pass_credentials: bool
    quarantine: Quarantine | None

    def forward(
        self,
        exchange: Exchange,
        candidates: tuple[Endpoint, ...],
        body: bytes,
        lines: bytes = b"",
        model: str = "",
        instead: Instead | None = None,
    ) -> Coroutine[None, None, None]:
        """Send a request to one of `candidates`; the response goes to the client with the header lines `lines`.

        Raises UpstreamError if no endpoint accepts a connection. After sending, the request is the writer's job, which
        ends the exchange. Where vLLM does not know `model`, the one in the body, `instead` continues; without it
        the other candidates are asked, and the last answer counts.
        """
        quarantine = self.quarantine
        if quarantine is not None and not quarantine.empty:
            self._check(quarantine, exchange, body)
        upstream = self.balancer.choose(candidates, self.loop.time())
        if upstream is None:
            raise UpstreamUnreachable("no endpoint may serve this request; check preferred_endpoints")
        return _ForwardedRequest(self, exchange, candidates, body, lines, model, instead).send(upstream)

    def _check(self, quarantine: Quarantine, exchange: Exchange, body: bytes) -> None:
        if quarantine.refuses(client_identity(exchange.request.head), body):
            self.metrics.refused.add("query_of_death")
            raise RequestError(
                "vLLM died more than once while this very request was in flight, so it is refused for a minute "
                "(pointsman.relay.quarantine)",
                status=422,
                code="query_of_death",
            )


class _ForwardedRequest(ResponseStream):
    """One request from sending to the end of its response."""

    __slots__ = (
        "_body",
        "_broke",
        "_candidates",
        "_endpoint",
        "_exchange",
        "_forwarder",
        "_instead",
        "_request_lines",
        "_tried",
    )

    _endpoint: EndpointState

    def __init__(
        self,
        forwarder: Forwarder,
        exchange: Exchange,
        candidates: tuple[Endpoint, ...],
        body: bytes,
        lines: bytes,
        model: str,
        instead: Instead | None,
    ) -> None:
        request, record = exchange.request, exchange.record
        id_line = b"X-Request-Id: %b\r\n" % record.request_id.encode()
        super().__init__(request, record, forwarder.timeouts, lines + id_line, model)
        self._forwarder = forwarder
        self._exchange = exchange
        self._candidates = candidates
        self._body = body
        self._tried: list[str] = []
        self._instead = instead
        self._broke = False
        head = request.head
        length = b"" if head.method == "GET" and not body else b"Content-Length: %d\r\n" % len(body)
        self._request_lines = b"%b%b%b%b\r\n" % (
            forwarded_headers(head.fields, head.values.get(b"connection"), credentials=forwarder.pass_credentials),
            id_line,
            forwarder.key_line,
            length,
        )

    async def send(self, endpoint: EndpointState) -> None:
        """Send to `endpoint`, or to another candidate if it does not accept connections; raises UpstreamError."""
        record = self._record
        while True:
            record.endpoint = endpoint.name
            endpoint.breaker.sent(self._loop.time())
            endpoint.in_flight += 1
            connection = None if self._broke else endpoint.pool.take()
            try:
                if connection is None:
                    record.phase = "connect"
                    await in_task()
                    connection = await endpoint.pool.connect()
            except UpstreamUnreachable as unreachable:
                endpoint.in_flight -= 1
                endpoint = self._unreachable(endpoint, unreachable)
            except BaseException:  # also on cancellation
                endpoint.in_flight -= 1
                raise
            else:
                self._endpoint = endpoint
                record.phase = "head"
                self._writer.job = self
                self.begin(connection, self._request_head(endpoint), self._body)
                return

    def answering(self) -> None:
        size = len(self._body)
        if size < SMALL_BYTES:
            return
        # If vLLM dies, one of few requests may be the cause, and its body tells whether it comes again.
        few = self._forwarder.quarantine is not None and self._endpoint.in_flight <= MOST_SUSPECTS
        needed = few and size <= LARGEST_BODY_BYTES
        if not needed and self._upstream is not None and self._upstream.sent:
            self._body, self._instead = b"", None
            self._record.drop_body()
            self._request.release()

    def ended(self, error: UpstreamError | None) -> None:
        exchange, endpoint = self._exchange, self._endpoint
        endpoint.in_flight -= 1
        if isinstance(error, NotStarted):
            self._broke = True
            self._suspect()
            exchange.retried(endpoint.name, "reused", error)
            self._writer.run(exchange.settle(self.send(endpoint)))
            return
        self._judge(error)
        if isinstance(error, UnknownModel):
            self._move(error)
        elif error is not None and not self.status:
            if isinstance(error, UpstreamBroken) and not endpoint.healthy(self._loop.time()):
                error.retry_after = RESTART_SECONDS
            self._writer.answer(exchange.failed(error))
        else:
            self._answered()

    def goes_elsewhere(self, model: str) -> bool:
        self._forwarder.catalog.refused(self._endpoint.name, model)
        self._tried.append(self._endpoint.name)
        return self._instead is not None or self._other() is not None

    def _move(self, unknown: UnknownModel) -> None:
        """Send the request elsewhere, which is safe: where the model is unknown, nothing has begun."""
        exchange, other = self._exchange, self._other()
        if self._instead is not None:
            self._writer.run(exchange.settle(self._instead(unknown)))
        elif other is not None:
            exchange.retried(self._endpoint.name, "model", unknown)
            self._model = unknown.model
            self._broke = False
            self._writer.run(exchange.settle(self.send(other)))

    def _other(self) -> EndpointState | None:
        return self._forwarder.balancer.choose(self._candidates, self._loop.time(), self._tried)

    def cancel(self) -> None:
        """Abort because the client disconnected or the service is shutting down."""
        exchange, writer = self._exchange, self._writer
        self._endpoint.in_flight -= 1
        if writer.closing:
            self.give_up()
            exchange.left()
            return
        stopping = ShuttingDown("the service is shutting down")
        self.give_up(stopping)
        if self.status:
            self._record.error = stopping.message
            self._answered()
        else:
            writer.answer(exchange.failed(stopping))

    def _answered(self) -> None:
        self._record.status = self.status
        self._exchange.end()
        self._writer.answered(self._request)

    def _request_head(self, endpoint: EndpointState) -> bytes:
        request, pool, path = self._request, endpoint.pool, self._record.path
        target = path.format_map(request.parameters) if request.parameters else path
        if request.head.query:
            target = f"{target}?{request.head.query}"
        return b"%b %b%b HTTP/1.1\r\n%b%b" % (
            request.head.method.encode(),
            pool.prefix,
            target.encode(),
            pool.host_line,
            self._request_lines,
        )

    def _unreachable(self, endpoint: EndpointState, error: UpstreamUnreachable) -> EndpointState:
        """Return another endpoint, which is safe as nothing was sent; raises `error` if there is none.

        A request whose connection broke may be what broke it, and is not sent to another endpoint.
        """
        balancer, now = self._forwarder.balancer, self._loop.time()
        balancer.failed(endpoint, "no connection", now)
        balancer.unreachable(endpoint, error.message)
        self._tried.append(endpoint.name)
        other = None if self._broke else self._other()
        if other is None:
            error.retry_after = RESTART_SECONDS
            raise error
        self._forwarder.metrics.upstream_errors.add(endpoint.name, error.code)
        self._exchange.retried(endpoint.name, "connect", error)
        return other

    def _suspect(self) -> None:
        """Have the quarantine note what was in flight at the endpoint, which failed this request."""
        forwarder, endpoint = self._forwarder, self._endpoint
        quarantine = forwarder.quarantine
        if quarantine is None:
            return
        others = [one for one in forwarder.timeouts.all if isinstance(one, _ForwardedRequest)]
        there = [self, *(one for one in others if one._endpoint is endpoint)]
        # Requests of an older config are in flight there, too, and are not among these.
        few = there if len(there) == endpoint.in_flight + 1 else []
        known = [one._as_suspect() for one in few if one._body]
        if quarantine.failed(endpoint.name, self._sent, known):
            self._loop.call_later(CONFIRM_SECONDS, quarantine.forget, endpoint.name)

    def _as_suspect(self) -> Suspect:
        return Suspect(client_identity(self._request.head), self._record.request_id, self._body)

    def _judge(self, error: UpstreamError | None) -> None:
        """Report the outcome to the circuit breaker, the record and the metrics."""
        forwarder, record, endpoint = self._forwarder, self._record, self._endpoint
        balancer, metrics, now = forwarder.balancer, forwarder.metrics, self._loop.time()
        if error is not None:
            if self.status:
                record.error = error.message
                metrics.upstream_errors.add(endpoint.name, error.code)
            if isinstance(error, UpstreamBroken):
                self._suspect()
            if isinstance(error, UpstreamBroken | UpstreamTimeout):
                balancer.failed(endpoint, error.message, now)
            elif isinstance(error, UnknownModel):
                balancer.succeeded(endpoint)
            return
        record.tokens = self.tail.tokens()
        if self.status in _ENDPOINT_FAILS:
            balancer.failed(endpoint, f"status {self.status}", now)
        elif self.streams and self.tail.failed():
            record.error = "vLLM ended its stream with an error"
            metrics.upstream_errors.add(endpoint.name, "in_stream")
            self._suspect()
            balancer.failed(endpoint, "an error in a stream", now)
        else:
            balancer.succeeded(endpoint)
            if self.status == 500:
                self._suspect()
            elif self.status in _UNAUTHORIZED and not forwarder.pass_credentials:
                # Not proof enough: a client may be able to cause a 403, too.
                forwarder.catalog.wake(endpoint.name)

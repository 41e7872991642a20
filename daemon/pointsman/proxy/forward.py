"""A request on its way to vLLM: which endpoint, which connection, and what may be tried again."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING

from pointsman.eager import in_task
from pointsman.errors import ShuttingDown, UpstreamBroken, UpstreamError, UpstreamTimeout, UpstreamUnreachable
from pointsman.http1.response_head import request_lines
from pointsman.proxy.response_stream import Passage
from pointsman.proxy.unknown_model import Chosen, ModelRefused
from pointsman.upstream.connection import NotStarted

if TYPE_CHECKING:
    from pointsman.config.model import Endpoint
    from pointsman.proxy.exchange import Exchange
    from pointsman.upstream.load_balancer import Upstream

_ENDPOINT_FAILS = frozenset({502, 503, 504})


def forward(
    exchange: Exchange,
    candidates: tuple[Endpoint, ...],
    body: bytes,
    ours: bytes = b"",
    chosen: Chosen | None = None,
) -> Coroutine[None, None, None]:
    """Send a request to one of `candidates`; its answer, with the header lines `ours`, is passed on as it comes.

    Raises UpstreamError where there is no connection. From then on it is the connection's job, and ends the exchange.
    `chosen` is the model in the body if the client did not ask for it.
    """
    service = exchange.service
    upstream = service.endpoints.choose(candidates, service.loop.time())
    if upstream is None:
        raise UpstreamUnreachable("no endpoint may serve this")
    return _Job(exchange, candidates, body, ours, chosen).send(upstream)


class _Job(Passage):
    """A request until it is answered."""

    __slots__ = ("_body", "_candidates", "_lines", "_reusing", "_tried", "_upstream")

    _upstream: Upstream

    def __init__(
        self,
        exchange: Exchange,
        candidates: tuple[Endpoint, ...],
        body: bytes,
        ours: bytes,
        chosen: Chosen | None,
    ) -> None:
        service, request = exchange.service, exchange.request
        id_line = b"X-Request-Id: %b\r\n" % exchange.record.request_id.encode()
        super().__init__(exchange, ours + id_line, chosen)
        self._candidates = candidates
        self._body = body
        self._tried: list[str] = []
        self._reusing = True
        head = request.head
        length = b"" if head.method == "GET" and not body else b"Content-Length: %d\r\n" % len(body)
        self._lines = b"%b%b%b%b\r\n" % (
            request_lines(head.fields, head.values.get(b"connection"), credentials=service.pass_credentials),
            id_line,
            service.key_line,
            length,
        )

    async def send(self, upstream: Upstream) -> None:
        """Send it over one connection, to `upstream` or whoever may have it instead; raises UpstreamError."""
        record = self._exchange.record
        while True:
            record.endpoint = upstream.name
            upstream.breaker.sent(self._exchange.service.loop.time())
            upstream.in_flight += 1
            channel = upstream.pool.take() if self._reusing else None
            try:
                if channel is None:
                    record.phase = "connect"
                    await in_task()
                    channel = await upstream.pool.connect()
            except UpstreamUnreachable as unreachable:
                upstream.in_flight -= 1
                upstream = self._unreachable(upstream, unreachable)
            except BaseException:  # a cancellation, too, gives its place back
                upstream.in_flight -= 1
                raise
            else:
                self._upstream = upstream
                record.phase = "head"
                self._connection.job = self
                self.begin(channel, self._head(upstream), self._body)
                return

    def ended(self, error: UpstreamError | None) -> None:
        exchange, upstream = self._exchange, self._upstream
        upstream.in_flight -= 1
        if isinstance(error, NotStarted):
            # vLLM closed the connection while it was idle, so it cannot have read the request.
            self._reusing = False
            exchange.retried(upstream.name, "reused", error)
            self._connection.run(exchange.settle(self.send(upstream)))
            return
        self._judge(error)
        if isinstance(error, ModelRefused):
            self._connection.run(exchange.settle(error.chosen.refused(error)))
        elif error is not None and not self.status:
            self._connection.answer(exchange.failed(error))
        else:
            self._answered()

    def cancel(self) -> None:
        """The client left, or the service ends."""
        exchange, connection = self._exchange, self._connection
        self._upstream.in_flight -= 1
        if connection.transport.is_closing():
            self.give_up()
            exchange.left()
            return
        stopping = ShuttingDown("the service is shutting down")
        self.give_up(stopping)
        if self.status:
            exchange.record.error = stopping.message
            self._answered()
        else:
            connection.answer(exchange.failed(stopping))

    def _answered(self) -> None:
        exchange = self._exchange
        exchange.record.status = self.status
        exchange.end()
        self._connection.answered(exchange.request)

    def _head(self, upstream: Upstream) -> bytes:
        request, pool, path = self._exchange.request, upstream.pool, self._exchange.record.path
        target = path.format_map(request.parameters) if request.parameters else path
        if request.head.query:
            target = f"{target}?{request.head.query}"
        return b"%b %b%b HTTP/1.1\r\n%b%b" % (
            request.head.method.encode(),
            pool.prefix,
            target.encode(),
            pool.host_line,
            self._lines,
        )

    def _unreachable(self, upstream: Upstream, error: UpstreamUnreachable) -> Upstream:
        """Nothing was sent, so another endpoint may have it; raises the error where there is none."""
        service = self._exchange.service
        endpoints, now = service.endpoints, service.loop.time()
        endpoints.failed(upstream, "no connection", now)
        endpoints.unreachable(upstream, error.message)
        self._tried.append(upstream.name)
        other = endpoints.choose(self._candidates, now, self._tried)
        if other is None:
            raise error
        service.metrics.upstream_errors.add(upstream.name, error.code)
        self._exchange.retried(upstream.name, "connect", error)
        return other

    def _judge(self, error: UpstreamError | None) -> None:
        """What the answer says of the endpoint, and of the request for the log."""
        service, record, upstream = self._exchange.service, self._exchange.record, self._upstream
        endpoints, metrics = service.endpoints, service.metrics
        if error is not None:
            if self.status:
                record.error = error.message
                metrics.upstream_errors.add(upstream.name, error.code)
            if isinstance(error, UpstreamBroken | UpstreamTimeout):
                endpoints.failed(upstream, error.message, service.loop.time())
            elif isinstance(error, ModelRefused):
                endpoints.succeeded(upstream)
            return
        record.tokens = self.tail.tokens()
        if self.status in _ENDPOINT_FAILS:
            endpoints.failed(upstream, f"status {self.status}", service.loop.time())
        elif self.streams and self.tail.failed():
            record.error = "vLLM ended its stream with an error"
            metrics.upstream_errors.add(upstream.name, "in_stream")
            endpoints.failed(upstream, "an error in a stream", service.loop.time())
        else:
            endpoints.succeeded(upstream)

"""One request to vLLM: choose a connection, and retry what vLLM cannot have started."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence

import msgspec

from pointsman.adapters.catalog import ServedModels
from pointsman.config.model import Endpoint
from pointsman.eager import continue_in_task
from pointsman.errors import ShuttingDown, UpstreamBroken, UpstreamError, UpstreamUnreachable
from pointsman.formats import by_path
from pointsman.http1.body import ChunkedFraming, Framing, LengthFraming
from pointsman.http1.response_head import ResponseHead
from pointsman.long_body import Body
from pointsman.proxy.declined import UnknownModel, UpstreamDeclined
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.hidden_usage import HiddenUsage
from pointsman.proxy.quarantine import CONFIRM_SECONDS, MAX_SUSPECT_BODY_BYTES, MAX_SUSPECTS, Suspect
from pointsman.proxy.response_id import ResponseIdReader
from pointsman.proxy.response_stream import ResponseStream
from pointsman.proxy.upstream_request import header_lines, request_head
from pointsman.proxy.upstreams import Upstreams
from pointsman.proxy.usage import TokenCountingTail
from pointsman.server.byte_budget import SMALL_BYTES
from pointsman.server.request import Request
from pointsman.upstream.connection import StaleConnection
from pointsman.upstream.endpoint_state import EndpointState

# vLLM takes at least this long to start; a client that retries sooner does so in vain.
RESTART_SECONDS = 5

OnUnknownModel = Callable[[UnknownModel, Sequence[str]], Coroutine[None, None, None]]
"""A callback that continues a request whose model vLLM does not know; endpoints of these names were asked."""


class ForwardPlan(msgspec.Struct, frozen=True, gc=False):
    """A body for one of some endpoints, with the header lines that describe the decision to the client.

    `model` is the one in the body, as far as it is known; `adapter`: it is an adapter that this program chose.
    """

    endpoints: tuple[Endpoint, ...]
    body: Body
    model: str = ""
    lines: bytes = b""
    adapter: bool = False


Replan = Callable[[ServedModels], ForwardPlan]
"""A callback that chooses anew for a request, by the models that are left."""


class ForwardedRequest(ResponseStream):
    """One request from sending to the end of its response."""

    __slots__ = (
        "_body",
        "_broke",
        "_candidates",
        "_endpoint",
        "_exchange",
        "_on_unknown_model",
        "_request_lines",
        "_tried",
        "_upstreams",
    )

    _endpoint: EndpointState

    def __init__(
        self,
        upstreams: Upstreams,
        exchange: Exchange,
        plan: ForwardPlan,
        model: str = "",
        on_unknown_model: OnUnknownModel | None = None,
    ) -> None:
        """Take `on_unknown_model`, which continues the request if vLLM does not know `model`.

        Without it, the plan's other endpoints are asked; if `model` is empty, vLLM's answer counts.
        """
        request, record, body = exchange.request, exchange.record, plan.body
        id_line = b"X-Request-Id: %b\r\n" % record.request_id.encode()
        super().__init__(request, record, upstreams.timeouts, plan.lines + id_line + request.lines, model)
        lease = exchange.lease
        if lease is not None:
            self._lines += lease.lines()
            exchange.answer = self.tail
        record.sent_bytes = len(body)
        self._upstreams = upstreams
        self._exchange = exchange
        self._candidates = plan.endpoints
        self._body = body
        self._tried: list[str] = []
        self._on_unknown_model = on_unknown_model
        self._broke = False
        key = exchange.key
        key_line = upstreams.key_line if key is None else key.upstream or upstreams.key_line
        if exchange.priority is not None:
            # For /v1/messages, vLLM reads the priority only here; elsewhere this repeats the body's.
            key_line += b"X-Vllm-Priority: %d\r\n" % exchange.priority
        self._request_lines = header_lines(
            request, body, id_line, key_line, record.trace, credentials=upstreams.pass_credentials
        )

    def _frame(self, head: ResponseHead, request: Request) -> tuple[Framing, bytes]:
        framing, line = super()._frame(head, request)
        exchange, lease = self._exchange, self._exchange.lease
        if (lease is not None and lease.reserved) or (exchange.hides_usage and head.streams):
            usage_paths = by_path(self._record.path).usage_in_stream if head.streams else None
            chunked = not request.head.http_1_0 and not isinstance(framing, LengthFraming)
            self.tail = exchange.answer = counted = TokenCountingTail(usage_paths, lease, chunked=chunked)
            if exchange.hides_usage and head.streams and isinstance(framing, ChunkedFraming):
                framing = counted.hidden = HiddenUsage(chunked=not request.head.http_1_0)
        return framing, line

    async def send_to(self, endpoint: EndpointState) -> None:
        """Send to `endpoint`, or to another candidate if it does not accept connections; raises UpstreamError."""
        record = self._record
        while True:
            record.endpoint = endpoint.name
            endpoint.breaker.sent(self._loop.time())
            endpoint.in_flight += 1
            record.in_flight = endpoint.in_flight
            connection = None if self._broke else endpoint.pool.take()
            try:
                if connection is None:
                    record.phase = "connect"
                    await continue_in_task()
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
                head = request_head(self._request, record.path, endpoint.pool, self._request_lines)
                self.begin(connection, head, self._body)
                return

    def answering(self) -> None:
        upstream, size = self._upstream, len(self._body)
        if self._exchange.stores and self.status == 200 and upstream is not None:
            upstream.divert(ResponseIdReader(self, upstream, self._stored))
        if size < SMALL_BYTES:
            return
        # If vLLM dies, one of few requests may be the cause, and the body tells whether that request comes again.
        few = self._upstreams.quarantine is not None and self._endpoint.in_flight <= MAX_SUSPECTS
        needed = few and size <= MAX_SUSPECT_BODY_BYTES
        if not needed and upstream is not None and upstream.sent:
            self._body, self._on_unknown_model = b"", None
            self._record.drop_body()
            self._request.release()

    def _stored(self, response_id: str) -> None:
        routed = self._record.routed
        remembered = None if routed is None else routed.remembered
        self._upstreams.stored.add(response_id, self._exchange.client, self._endpoint.name, remembered)

    def on_end(self, error: UpstreamError | None) -> None:
        exchange, endpoint = self._exchange, self._endpoint
        endpoint.in_flight -= 1
        if isinstance(error, StaleConnection):
            self._broke = True
            self._suspect()
            exchange.record_retry(endpoint.name, "reused", error)
            self._writer.run(exchange.run_guarded(self.send_to(endpoint)))
            return
        if self._upstreams.health.report(endpoint, self, exchange, error):
            self._suspect()
        if isinstance(error, UpstreamDeclined):
            self._move(error)
        elif error is not None and not self.status:
            if isinstance(error, UpstreamBroken) and not endpoint.healthy(self._loop.time()):
                error.retry_after = RESTART_SECONDS
            self._writer.answer(exchange.end_with_error(error))
        else:
            self._end_exchange()

    def goes_elsewhere(self, declined: UpstreamDeclined) -> bool:
        self._tried.append(self._endpoint.name)
        if not isinstance(declined, UnknownModel):
            # An endpoint that is down would replace the answer that names the problem, and when to retry, by a 502.
            other = self._another()
            return other is not None and other.healthy(self._loop.time())
        self._upstreams.catalog.refused(self._endpoint.name, declined.model)
        return self._on_unknown_model is not None or self._another() is not None

    def _move(self, declined: UpstreamDeclined) -> None:
        """Send the request elsewhere, which is safe: nothing has begun."""
        exchange, other = self._exchange, self._another()
        if self._on_unknown_model is not None and isinstance(declined, UnknownModel):
            self._writer.run(exchange.run_guarded(self._on_unknown_model(declined, self._tried)))
        elif other is not None:
            exchange.record_retry(self._endpoint.name, declined.why, declined)
            self._broke = False
            self._writer.run(exchange.run_guarded(self.send_to(other)))

    def _another(self) -> EndpointState | None:
        return self._upstreams.balancer.choose(self._candidates, self._loop.time(), self._tried)

    def cancel(self) -> None:
        """Abort because the client disconnected or the service is shutting down."""
        exchange, writer = self._exchange, self._writer
        self._endpoint.in_flight -= 1
        if writer.closing:
            self.waited()
            self.give_up()
            exchange.end_disconnected()
            return
        stopping = ShuttingDown("the service is shutting down")
        self.give_up(stopping)
        if self.status:
            self._record.error = stopping.message
            self._end_exchange()
        else:
            writer.answer(exchange.end_with_error(stopping))

    def _end_exchange(self) -> None:
        self._record.status = self.status
        self._exchange.log_and_release()
        self._writer.end_request(self._request)

    def _unreachable(self, endpoint: EndpointState, error: UpstreamUnreachable) -> EndpointState:
        """Return another endpoint, which is safe as nothing was sent; raises `error` if there is none.

        A request whose connection broke may have caused that, and is not sent to another endpoint.
        """
        balancer, now = self._upstreams.balancer, self._loop.time()
        balancer.failed(endpoint, "no connection", now)
        balancer.unreachable(endpoint, error.in_full)
        self._tried.append(endpoint.name)
        other = None if self._broke else self._another()
        if other is None:
            error.retry_after = RESTART_SECONDS
            raise error
        self._upstreams.metrics.upstream_errors.add(endpoint.name, error.code)
        self._exchange.record_retry(endpoint.name, "connect", error)
        return other

    def _suspect(self) -> None:
        """Record the requests in flight at the endpoint, which failed this request, in the quarantine."""
        upstreams, endpoint = self._upstreams, self._endpoint
        quarantine = upstreams.quarantine
        if quarantine is None:
            return
        others = [one for one in upstreams.timeouts.all if isinstance(one, ForwardedRequest)]
        there = [self, *(one for one in others if one._endpoint is endpoint)]
        # Requests of an older config may be in flight there, too, and are missing here.
        few = there if len(there) == endpoint.in_flight + 1 else []
        known = [one._as_suspect() for one in few if one._body]
        if quarantine.failed(endpoint.name, self._sent, known):
            self._loop.call_later(CONFIRM_SECONDS, quarantine.forget, endpoint.name)

    def _as_suspect(self) -> Suspect:
        return Suspect(self._exchange.client, self._record.request_id, self._body)

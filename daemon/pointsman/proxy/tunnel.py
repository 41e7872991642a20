"""A request that offers a websocket: once vLLM has accepted, bytes are passed both ways as they come."""

from __future__ import annotations

import time

from pointsman.config.model import Endpoint
from pointsman.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from pointsman.http1.body import CloseFraming, Framing
from pointsman.http1.response_head import ResponseHead
from pointsman.long_body import Body
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.forwarded_request import ForwardedRequest, ForwardPlan
from pointsman.proxy.upstreams import Upstreams
from pointsman.server.request import ResponseWriter
from pointsman.upstream.connection import UpstreamConnection

SWITCHED = 101
_OFFER = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"


class Tunnel(ForwardedRequest):
    """A websocket from the offer to its end, or vLLM's refusal, which is an answer like any other.

    Either side ends it by closing its connection. Websockets end like this, so a client that leaves is no fault.
    """

    __slots__ = ()

    def __init__(self, upstreams: Upstreams, exchange: Exchange, candidates: tuple[Endpoint, ...]) -> None:
        super().__init__(upstreams, exchange, ForwardPlan(candidates, b""))
        self._request_lines = _OFFER + self._request_lines

    def begin(self, upstream: UpstreamConnection, head: bytes, body: Body) -> None:
        super().begin(upstream, head, body)
        upstream.switches = True

    def head(self, head: ResponseHead) -> Framing:
        upstream, record = self._upstream, self._record
        if head.status != SWITCHED or upstream is None:
            return super().head(head)
        if head.length is not None or head.chunked:
            raise UpstreamError(f"{self._where} switches protocols with a body")
        record.phase = "stream"
        record.phases["upstream"] = time.perf_counter() - self._started
        self.status = SWITCHED
        self.streams = False
        self._upstreams.balancer.succeeded(self._endpoint)
        self._framing = framing = CloseFraming(chunked=False)
        self._pending = self._answer_head(head, _OFFER)
        uplink = ClientStream(self, self._writer, upstream)
        upstream.switched(uplink)
        self._writer.switch(uplink.feed)
        return framing

    def moved(self) -> None:
        """Record that the client has sent something."""
        self._progress = self._loop.time()

    def on_end(self, error: UpstreamError | None) -> None:
        if self.status != SWITCHED:
            super().on_end(error)
            return
        self._endpoint.in_flight -= 1
        if error is not None:
            self._record.error = error.message
        if isinstance(error, UpstreamBroken):
            self._upstreams.metrics.upstream_errors.add(self._endpoint.name, error.code)
        self._end_exchange()

    def cancel(self) -> None:
        """End because the client left, after sending its last bytes to vLLM, or because the service stops."""
        upstream = self._upstream
        if upstream is None or self._record.phase != "stream" or self.status != SWITCHED or not self._writer.closing:
            super().cancel()
            return
        upstream.close()
        self._finish(None)

    def check(self, now: float, first_byte: float, idle: float, total: float) -> None:
        upstream = self._upstream
        if self.status != SWITCHED or upstream is None:
            super().check(now, first_byte, idle, total)
            return
        if now - self._sent > total:
            why = "the websocket was open for too long (pointsman.relay.total_timeout_ms)"
        elif not self._paused and now - self._progress > idle:
            why = "nothing crossed the websocket for too long (pointsman.relay.idle_timeout_ms)"
        else:
            return
        upstream.abort()
        self.fail(UpstreamTimeout(why))


class ClientStream:
    """The client's bytes on their way to vLLM."""

    __slots__ = ("_tunnel", "_upstream", "_writer")

    def __init__(self, tunnel: Tunnel, writer: ResponseWriter, upstream: UpstreamConnection) -> None:
        self._tunnel = tunnel
        self._writer = writer
        self._upstream = upstream

    def feed(self, data: bytes) -> None:
        """Pass on the bytes that have come, if any."""
        if data:
            self._tunnel.moved()
            self._upstream.write(data)

    def pause(self) -> None:
        """Stop reading from the client while vLLM is slow."""
        self._writer.pause_reading()

    def resume(self) -> None:
        """Resume reading from the client."""
        self._writer.resume_reading()

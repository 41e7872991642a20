"""Report what the end of a request says about its endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pointsman.errors import UpstreamBroken, UpstreamError, UpstreamTimeout
from pointsman.observability.metrics import Metrics
from pointsman.proxy.declined import UpstreamDeclined, queue_full
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.response_stream import ResponseStream
from pointsman.upstream.endpoint_state import EndpointState
from pointsman.upstream.load_balancer import LoadBalancer

_ENDPOINT_FAILS = frozenset({502, 503, 504})
_FAILS = _ENDPOINT_FAILS | {500}
_UNAUTHORIZED = frozenset({401, 403})


@dataclass(frozen=True, slots=True, eq=False)
class HealthReporter:
    """A reporter to the circuit breaker, the record and the metrics.

    `check_key` asks an endpoint whether it accepts the service's key; None if clients' keys are forwarded.
    """

    balancer: LoadBalancer
    metrics: Metrics
    loop: asyncio.AbstractEventLoop
    check_key: Callable[[str], None] | None

    def report(
        self, endpoint: EndpointState, response: ResponseStream, exchange: Exchange, error: UpstreamError | None
    ) -> bool:
        """Report the end of a response, or of the wait for it; return whether the endpoint may be dying."""
        balancer, record, status, now = self.balancer, exchange.record, response.status, self.loop.time()
        if error is not None:
            if status:
                record.error = error.message
                self.metrics.upstream_errors.add(endpoint.name, error.code)
            if isinstance(error, UpstreamBroken | UpstreamTimeout):
                record.failed = True
                balancer.failed(endpoint, error.message, now, exchange.witness)
            elif isinstance(error, UpstreamDeclined):
                balancer.succeeded(endpoint)
            return isinstance(error, UpstreamBroken)
        record.tokens = response.tail.tokens()
        in_stream = response.streams and status not in _ENDPOINT_FAILS and response.tail.failed()
        if in_stream:
            record.error = "vLLM ended its stream with an error"
            self.metrics.upstream_errors.add(endpoint.name, "in_stream")
        if (in_stream or status in _FAILS) and not queue_full(response.tail.content()):
            record.failed = True
            if in_stream or status != 500:
                why = "an error in a stream" if in_stream else f"status {status}"
                balancer.failed(endpoint, why, now, exchange.witness)
                return in_stream
        balancer.succeeded(endpoint)
        if status in _UNAUTHORIZED and self.check_key is not None:
            # Not proof enough: a client may be able to cause a 403, too.
            self.check_key(endpoint.name)
        return status == 500

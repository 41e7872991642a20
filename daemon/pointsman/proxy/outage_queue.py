"""Hold requests while no endpoint accepts connections, and send them once one does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine

from pointsman.config.model import Endpoint, Options
from pointsman.eager import continue_in_task
from pointsman.errors import UpstreamUnreachable
from pointsman.observability.metrics import Metrics
from pointsman.proxy.exchange import Exchange
from pointsman.proxy.wait_queue import WaitingRequest, WaitQueue
from pointsman.upstream.load_balancer import LoadBalancer

# Between two steps of the ramp: a restart ends with 1, 2, 4, ... requests, four times a second.
STEP_SECONDS = 0.25


class OutageQueue:
    """The requests of one config that wait, each for at most `seconds`, and at most `max_waiting` of all configs."""

    def __init__(self, seconds: float, max_waiting: int, up: Callable[[], set[str]], metrics: Metrics) -> None:
        """Take `up`, which returns the names of the endpoints that accept connections, as far as is known."""
        self._seconds = seconds
        self._max_waiting = max_waiting
        self._up = up
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._queue = WaitQueue()
        self._released: dict[WaitingRequest, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def send_when_up(
        self, exchange: Exchange, endpoints: tuple[Endpoint, ...], send: Callable[[], Coroutine[None, None, None]]
    ) -> None:
        """Call `send` until an endpoint accepts a connection; raises UpstreamUnreachable if none does in time.

        `endpoints` are those that may take the request. UpstreamUnreachable from `send` means that nothing was sent.
        """
        request: WaitingRequest | None = None
        until = 0.0
        while True:
            try:
                return await send()
            except UpstreamUnreachable:
                if request is None:
                    names = frozenset(endpoint.name for endpoint in endpoints)
                    request, until = WaitingRequest(exchange.client, names), self._loop.time() + self._seconds
                else:
                    self._queue.refused()
                if not await self._wait(exchange, request, until):
                    raise

    async def _wait(self, exchange: Exchange, request: WaitingRequest, until: float) -> bool:
        """Return True once the request may be sent again, False if the request cannot wait, or no longer."""
        if self._metrics.waiting >= self._max_waiting:
            return False
        await continue_in_task()
        record, began = exchange.record, time.perf_counter()
        record.phase = "hold"
        self._metrics.waiting += 1
        self._queue.add(request)
        self._released[request] = released = self._loop.create_future()
        if self._timer is None:
            self._timer = self._loop.call_later(STEP_SECONDS, self._step)
        try:
            async with asyncio.timeout_at(until):
                await released
        except TimeoutError:
            return False
        finally:  # also if the client leaves
            self._metrics.waiting -= 1
            self._queue.remove(request)
            del self._released[request]
            record.phases["hold"] = record.phases.get("hold", 0.0) + time.perf_counter() - began
        return True

    def _step(self) -> None:
        for request in self._queue.release(self._up()):
            if not self._released[request].done():
                self._released[request].set_result(None)
        self._timer = self._loop.call_later(STEP_SECONDS, self._step) if self._queue else None


def configured_outage_queue(options: Options, balancer: LoadBalancer, metrics: Metrics) -> OutageQueue | None:
    """Return the queue for the endpoints of a config, None where it is switched off."""
    if not options.relay.hold_ms:
        return None
    endpoints = balancer.all.values()
    max_waiting = options.server.max_in_flight // 4
    return OutageQueue(
        options.relay.hold_ms / 1000, max_waiting, lambda: {one.name for one in endpoints if one.reachable}, metrics
    )

"""The life cycle: load, listen, serve until a signal, drain."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from prometheus_client import CONTENT_TYPE_LATEST

from pointsman import __version__, demo, loop_lag
from pointsman.admin_api import adapter_routes
from pointsman.api import abandoned, health_routes, readiness, routes
from pointsman.classify.classifier import Classifier
from pointsman.generations import Generations
from pointsman.http.message import Request, Response, json_response
from pointsman.http.routes import Route, Routes
from pointsman.http.server import Limits, Server
from pointsman.inventory import counts
from pointsman.prepare import Prepared
from pointsman.relay.endpoints import Upstream
from pointsman.reload import Reloader, Source
from pointsman.service import Service
from pointsman.systemd import Systemd
from pointsman.telemetry import Log, Metrics

# FileDescriptorName= of the socket unit whose sockets are the admin port; all others are the data port.
ADMIN_SOCKET = "admin"
# What starts after us waits so long for a vLLM; it may take minutes to load its model, and we answer for it meanwhile.
GRACE_S = 5.0
STATUS_S = 5.0


async def serve(source: Source, prepared: Prepared, *, stand_in: bool = False, systemd: Systemd) -> None:
    """Serve until SIGTERM or SIGINT, then let running answers end; raises CannotStart.

    `prepared` is what `source` was read to. The sockets that `systemd` hands over take the place of its addresses.
    """
    config, options = prepared.config, prepared.config.pointsman
    log = Log(options.log.level)
    for warning in prepared.warnings:
        log.write("warning", "config", message=warning)
    _adopt_logging(log)
    stop, interrupt = _signals()
    async with contextlib.AsyncExitStack() as stack:
        if stand_in:
            for runner in await demo.start(config):
                stack.push_async_callback(runner.cleanup)
            log.write("warning", "stand_in", message="no vLLM: a stand-in says which model it was asked for")
        generations = await stack.enter_async_context(running(prepared, log))
        reloader = Reloader(source, prepared, generations, systemd.notify)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reloader.ask, "SIGHUP")
        data, admin = _servers(generations, reloader)
        stack.callback(log.flush)
        stack.push_async_callback(admin.drain, 0, interrupt)
        inherited: dict[bool, list[socket.socket]] = {True: [], False: []}
        for name, listener in systemd.listeners:
            inherited[name == ADMIN_SOCKET].append(listener)
        admin_at = await _listen(admin, (options.server.admin_listen,), inherited[True])

        async def drain() -> None:
            await data.drain(generations.current.config.pointsman.server.drain_timeout_ms / 1000, interrupt)

        stack.push_async_callback(drain)
        data_at = await _listen(data, options.server.listen, inherited[False])
        log.write(
            "info",
            "ready",
            version=__version__,
            listen=data_at,
            admin=admin_at,
            classifier=prepared.classifier.artifact.folder.name,
            endpoints={endpoint.name: endpoint.address for endpoint in config.vllm_endpoints},
        )
        living = asyncio.create_task(_live(generations, reloader, systemd))
        stack.callback(living.cancel)
        await stop.wait()
        systemd.notify.stopping(f"stopping; {generations.metrics.in_flight} in flight")
        log.write("info", "stopping", in_flight=generations.metrics.in_flight)


@contextlib.asynccontextmanager
async def running(prepared: Prepared, log: Log) -> AsyncIterator[Generations]:
    """Everything behind the listeners."""
    generations = Generations(prepared, log)
    metrics = generations.metrics
    _watch(metrics, lambda: generations.current.router.classifier)
    _watch_endpoints(metrics, lambda: generations.current.endpoints.all)
    _watch_adapters(metrics, lambda: generations.current)
    lag = asyncio.create_task(loop_lag.watch(metrics.loop_lag_seconds.add))
    try:
        yield generations
    finally:
        lag.cancel()
        await generations.close()


def _servers(generations: Generations, reloader: Reloader) -> tuple[Server, Server]:
    metrics = generations.metrics
    ready = readiness(lambda: generations.current.router.classifier.healthy, lambda: data.draining)

    async def exposition(_: Request) -> Response:
        return Response(body=metrics.render(), content_type=CONTENT_TYPE_LATEST)

    async def config(_: Request) -> Response:
        return json_response(
            {
                "generation": reloader.generation,
                "loaded": int(reloader.loaded),
                "sha256": reloader.serving.sha256(),
                "config": dataclasses.asdict(generations.current.config),
            }
        )

    def limits() -> Limits:
        return generations.current.limits

    data = Server(
        routes(generations, ready),
        limits,
        metrics.refused.add,
        lambda request: abandoned(generations.current, request),
    )
    metrics.watch("connections", "Clients' connections to the data port.", lambda: len(data.connections))
    own = [
        Route("GET", "/metrics", exposition),
        Route("GET", "/config", config),
        Route("POST", "/reload", reloader.answer),
        *adapter_routes(lambda: generations.current),
        *health_routes(ready),
    ]
    admin = Server(Routes(own), limits, lambda _: None, lambda _: None)
    return data, admin


async def _listen(server: Server, addresses: Sequence[str], inherited: Sequence[socket.socket]) -> list[str]:
    """Where it listens now: at the inherited sockets, or else at the addresses."""
    for listener in inherited:
        await server.adopt(listener)
    if inherited:
        return [_address(listener) for listener in inherited]
    for address in addresses:
        await server.listen(address)
    return list(addresses)


def _address(listener: socket.socket) -> str:
    where = listener.getsockname()
    return f"unix:{where}" if listener.family == socket.AF_UNIX else f"{where[0]}:{where[1]}"


async def _live(generations: Generations, reloader: Reloader, systemd: Systemd) -> None:
    """What goes on besides requests, until cancelled: systemd is told how it goes, and reloads are done."""
    service = generations.current
    grace = GRACE_S if service.config.pointsman.adapters.poll_interval_ms else 0
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(service.poller.answered.wait(), grace)
    systemd.notify.ready(reloader.status())
    await asyncio.gather(reloader.run(), reloader.watch(), _tell(generations, reloader, systemd))


async def _tell(generations: Generations, reloader: Reloader, systemd: Systemd) -> None:
    """Feeds the watchdog. A loop that hangs does not get here, and that is the point."""
    interval = STATUS_S if systemd.watchdog_s is None else min(STATUS_S, systemd.watchdog_s / 3)
    told = ""
    while True:
        if generations.current.router.classifier.healthy:
            systemd.notify.alive()
        if (status := reloader.status()) != told:
            systemd.notify.status(status)
            told = status
        await asyncio.sleep(interval)


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Set by the first SIGTERM or SIGINT, and by the second."""
    stop, interrupt = asyncio.Event(), asyncio.Event()

    def received() -> None:
        (interrupt if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received)
    return stop, interrupt


def _watch(metrics: Metrics, current: Callable[[], Classifier]) -> None:
    metrics.watch("classifier_queue", "Texts that wait for a worker.", lambda: current().queued)

    def read() -> dict[str, tuple[str, float]]:
        classifier = current()
        counts, lookups = classifier.counts, classifier.lookups
        return {
            "classifier_cache_hits": ("Texts whose class was remembered.", lookups.hits),
            "classifier_cache_misses": ("Texts that asked for a run.", lookups.misses),
            "classifier_cache_coalesced": ("Texts that shared the run of the same text.", lookups.coalesced),
            "classifier_cache_evictions": ("Classes forgotten to make room.", classifier.evicted),
            "classifier_runs": ("Runs of the classifier.", counts.runs),
            "classifier_run_texts": ("Texts that were run.", counts.texts),
            "classifier_run_tokens": ("Tokens that were run, as estimated from the texts.", counts.tokens),
            "classifier_shed": ("Texts refused because the deadline could not be met.", counts.shed),
            "classifier_dropped": ("Texts that nobody waited for any more.", counts.dropped),
        }

    metrics.watch_counters(read)


def _watch_endpoints(metrics: Metrics, current: Callable[[], Mapping[str, Upstream]]) -> None:
    def each(name: str, doc: str, read: Callable[[Upstream], float]) -> None:
        metrics.watch_endpoints(name, doc, lambda: {key: read(upstream) for key, upstream in current().items()})

    each("endpoint_up", "1 while the endpoint gets requests.", lambda up: up.healthy(asyncio.get_running_loop().time()))
    each("endpoint_reachable", "1 while its `/health` answers.", lambda up: up.reachable)
    each("endpoint_breaker_open", "1 while its breaker is open.", lambda up: up.breaker.opened)
    each("endpoint_in_flight", "Requests that are with the endpoint.", lambda up: up.in_flight)


def _watch_adapters(metrics: Metrics, current: Callable[[], Service]) -> None:
    def each(place: int) -> Callable[[], dict[str, float]]:
        def read() -> dict[str, float]:
            service = current()
            return {name: counted[place] for name, counted in counts(service.config, service.poller).items()}

        return read

    metrics.watch_endpoints("adapters_configured", "Adapters that the endpoint is meant to serve.", each(0))
    metrics.watch_endpoints("adapters_served", "Those of them that it serves.", each(1))


class _Bridge(logging.Handler):
    """What libraries log, as one line each and without tracebacks."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._log.write(
            "warning", "library", logger=record.name, message=record.getMessage(), error=error and repr(error)
        )


def _adopt_logging(log: Log) -> None:
    logging.basicConfig(handlers=[_Bridge(log)], level=logging.WARNING, force=True)

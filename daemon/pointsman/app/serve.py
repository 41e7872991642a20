"""Run the service: load, listen, serve until a signal, drain."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST

from pointsman import __version__, files
from pointsman.api.admin import MOST_BODY_BYTES, adapter_routes, dry_run_route
from pointsman.api.data import routes
from pointsman.api.health import health_routes, readiness
from pointsman.api.mode import overlay_routes
from pointsman.app import gauges, stand_in
from pointsman.app.descriptors import ADMIN_CONNECTIONS
from pointsman.app.generations import Generations
from pointsman.app.overlay import OverlayKeeper
from pointsman.app.prepare import Prepared
from pointsman.app.reload import ConfigSource, Reloader
from pointsman.app.remembered import remembered
from pointsman.app.status import status_route
from pointsman.app.systemd import Systemd
from pointsman.errors import RequestError
from pointsman.observability import loop_lag
from pointsman.observability.library_log import adopt_library_log
from pointsman.observability.log import Log
from pointsman.routing.router import Router
from pointsman.server.byte_budget import ByteBudget
from pointsman.server.limits import Limits
from pointsman.server.listener import Listener
from pointsman.server.request import Request
from pointsman.server.response import Response, json_response
from pointsman.server.routes import Route, Routes

# FileDescriptorName= of the socket unit for the admin port; all other sockets are for the data port.
ADMIN_SOCKET = "admin"
# Maximum delay of READY=1 while no vLLM answers; vLLM may take minutes to load its model.
GRACE_S = 5.0
STATUS_S = 5.0


async def serve(source: ConfigSource, prepared: Prepared, log: Log, *, demo: bool = False, systemd: Systemd) -> None:
    """Serve until SIGTERM or SIGINT, then drain; raises CannotStart.

    `prepared` is the config read from `source`. Sockets passed by `systemd` replace its addresses.
    """
    config, options = prepared.config, prepared.config.pointsman
    for warning in prepared.warnings:
        log.write("warning", "config", message=warning)
    adopt_library_log(log)
    stop, interrupt = _signals()
    async with contextlib.AsyncExitStack() as stack:
        if demo:
            await stack.enter_async_context(stand_in.running(config, log))
        generations = await stack.enter_async_context(running(prepared, log))
        reloader = Reloader(source, prepared, generations, systemd.notify)
        _reload_on_hangup(reloader)
        stack.callback(signal.signal, signal.SIGHUP, signal.SIG_IGN)
        data, admin = _servers(generations, reloader, OverlayKeeper(files.state_directory(), generations))
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
        for task in _run_background(generations, reloader, systemd):
            stack.callback(task.cancel)
        await stop.wait()
        systemd.notify.stopping(f"stopping; {generations.metrics.in_flight} in flight")
        log.write("info", "stopping", in_flight=generations.metrics.in_flight)


@contextlib.asynccontextmanager
async def running(prepared: Prepared, log: Log) -> AsyncIterator[Generations]:
    """Run everything behind the listeners."""
    generations = Generations(prepared, log)
    metrics = generations.metrics
    gauges.watch(metrics, log, generations.stored, lambda: generations.current)
    generations.supervisor.start("loop_lag", lambda: loop_lag.watch(metrics.loop_lag_seconds.add))
    generations.supervisor.start("recent", metrics.recent.watch)
    try:
        async with remembered(generations.stored, generations.supervisor, log):
            yield generations
    finally:
        await generations.close()


def _servers(generations: Generations, reloader: Reloader, overlay: OverlayKeeper) -> tuple[Listener, Listener]:
    metrics = generations.metrics
    ready = readiness(generations.trouble, lambda: data.draining)

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

    def not_routed(request: Request, error: RequestError) -> Response:
        return generations.current.recorder.not_routed(request, error)

    def abandoned(request: Request) -> None:
        generations.current.recorder.abandoned(request)

    def admin_limits() -> Limits:
        return dataclasses.replace(limits(), max_connections=ADMIN_CONNECTIONS, max_body_bytes=MOST_BODY_BYTES)

    def begin() -> tuple[Router, Callable[[], None]]:
        return generations.current.backend.router, generations.hold()

    budget = generations.budget
    data = Listener(routes(generations.exchange, ready, not_routed), limits, metrics.refused.add, abandoned, budget)
    gauges.watch_listener(metrics, data, budget)
    own = [
        Route("GET", "/metrics", exposition),
        Route("GET", "/config", config),
        Route("POST", "/reload", reloader.answer),
        *adapter_routes(lambda: generations.current),
        dry_run_route(begin, generations.stored),
        status_route(generations, reloader, ready),
        *overlay_routes(overlay),
        *health_routes(ready),
    ]
    admin = Listener(Routes(own), admin_limits, lambda _: None, lambda _: None, ByteBudget(4 * MOST_BODY_BYTES))
    return data, admin


async def _listen(server: Listener, addresses: Sequence[str], inherited: Sequence[socket.socket]) -> list[str]:
    """Listen at the inherited sockets, or else at the addresses; return the actual addresses."""
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


def _run_background(generations: Generations, reloader: Reloader, systemd: Systemd) -> list[asyncio.Task[None]]:
    """Start the background work that ends with the first signal: reload, and notify systemd."""
    start = generations.supervisor.start
    return [
        start("reloader", reloader.run),
        start("watcher", reloader.watch),
        start("systemd", lambda: _tell(generations, reloader, systemd)),
    ]


async def _tell(generations: Generations, reloader: Reloader, systemd: Systemd) -> None:
    """Report readiness, then feed the watchdog and report the status; a blocked event loop misses its deadline."""
    generation = generations.current
    grace = GRACE_S if generation.config.pointsman.adapters.poll_interval_ms else 0
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(generation.poller.answered.wait(), grace)
    systemd.notify.ready(reloader.status())
    interval = STATUS_S if systemd.watchdog_s is None else min(STATUS_S, systemd.watchdog_s / 3)
    told = ""
    while True:
        if generations.current.classifier.healthy:
            systemd.notify.alive()
        if (status := reloader.status()) != told:
            systemd.notify.status(status)
            told = status
        await asyncio.sleep(interval)


def _reload_on_hangup(reloader: Reloader) -> None:
    """Reload at SIGHUP.

    Not with the loop's own handlers: when the loop takes them back, SIGHUP ends the process for a moment.
    """
    loop = asyncio.get_running_loop()
    signal.signal(signal.SIGHUP, lambda *_: loop.call_soon_threadsafe(reloader.ask, "SIGHUP"))


def _signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Return events that are set by the first and by the second SIGTERM or SIGINT."""
    stop, interrupt = asyncio.Event(), asyncio.Event()

    def received() -> None:
        (interrupt if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received)
    return stop, interrupt

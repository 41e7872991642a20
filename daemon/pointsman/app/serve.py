"""Run the service: load, listen, serve until a signal, drain."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

from pointsman import __version__, files
from pointsman.api.admin import candidate_route
from pointsman.api.classifiers import classifier_routes
from pointsman.api.described import described_routes
from pointsman.api.improve import improve_routes
from pointsman.app import gauges, stand_in
from pointsman.app.artifact_registry import ArtifactRegistry
from pointsman.app.candidates import Candidates
from pointsman.app.described_categories import DescribedCategories
from pointsman.app.generations import Generations
from pointsman.app.head_renewal import renew
from pointsman.app.overlay import OverlayStore
from pointsman.app.persistence import persisted
from pointsman.app.ports import Ports
from pointsman.app.prepare import PreparedConfig, refuse_strangers
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.app.systemd import Systemd
from pointsman.config import running as running_service
from pointsman.config.server import ServerOptions
from pointsman.improve.improver import Improver
from pointsman.observability import loop_lag
from pointsman.observability.library_log import adopt_library_log
from pointsman.observability.log import Log
from pointsman.routing.threshold_problems import remember_notified, was_notified

# Maximum delay of READY=1 while no vLLM answers; vLLM may take minutes to load its model.
GRACE_SECONDS = 5.0
STATUS_SECONDS = 5.0


async def serve(
    source: ConfigSource, prepared: PreparedConfig, log: Log, *, demo: bool = False, systemd: Systemd
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; raises CannotStart.

    `prepared` is the config read from `source`. Sockets passed by `systemd` replace its addresses.
    """
    config, server = prepared.config, prepared.config.pointsman.server
    for warning in prepared.warnings:
        log.write("warning", "config", message=warning)
    if prepared.former is not None and config.pointsman.log.level != "error" and not was_notified(source.state):
        log.write("warning", "config", message=prepared.former)
        with contextlib.suppress(OSError):  # then the next start reports it again
            remember_notified(source.state)
    adopt_library_log(log)
    stop, interrupt = _signals()
    async with contextlib.AsyncExitStack() as stack:
        if demo:
            await stack.enter_async_context(stand_in.running(config, log))
        generations = await stack.enter_async_context(running(prepared, log))
        reloader = Reloader(source, prepared, generations, systemd.notify)
        _reload_on_hangup(reloader)
        stack.callback(signal.signal, signal.SIGHUP, signal.SIG_IGN)
        overlay = OverlayStore(source.state, generations)
        generations.supervisor.start("mode", overlay.watch)
        reloader.applied = lambda: overlay.keep_rollback(source.applied())
        improver = Improver(source.state, source.path, lambda: generations.current.config, log)
        stack.push_async_callback(improver.close)
        registry = ArtifactRegistry(source, reloader, overlay)
        candidates = Candidates(registry.folder_of)
        stack.push_async_callback(candidates.close)
        described = DescribedCategories(source.state, generations, reloader)
        stack.push_async_callback(described.close)
        more = [
            *classifier_routes(registry),
            *described_routes(described),
            *improve_routes(improver),
            candidate_route(generations.begin, generations.stored, candidates.judge),
        ]
        ports = Ports(generations, reloader, overlay, more, systemd.listeners)
        refuse_strangers(config, ports.data.addresses)
        reloader.bound = tuple(ports.data.addresses)
        for port in (*ports.status, *ports.admin):
            stack.push_async_callback(port.listener.drain, 0, interrupt)
            await port.open(server)

        async def drain() -> None:
            await ports.data.listener.drain(
                generations.current.config.pointsman.server.drain_timeout_ms / 1000, interrupt
            )

        stack.push_async_callback(drain)
        await ports.data.open(server)
        _publish_admin_address(stack, source, ports.admin[0].addresses[0], log)
        log.write(
            "info",
            "ready",
            version=__version__,
            listen=ports.data.addresses,
            admin=[address for port in ports.admin for address in port.addresses],
            status=[address for port in ports.status for address in port.addresses] or None,
            classifier=prepared.classifier.name,
            endpoints={endpoint.name: endpoint.address for endpoint in config.vllm_endpoints},
            message=_where(server, ports),
        )
        for task in _run_background(generations, reloader, systemd):
            stack.callback(task.cancel)
        renewal = asyncio.create_task(renew(prepared.classifier.artifact, source.state, improver, registry, log))
        stack.callback(renewal.cancel)
        await stop.wait()
        systemd.notify.stopping(f"stopping; {generations.metrics.in_flight} in flight")
        log.write("info", "stopping", in_flight=generations.metrics.in_flight)


def _where(server: ServerOptions, ports: Ports) -> str:
    """Say where clients and people find the service."""
    pages = [address for port in ports.admin for address in port.addresses]
    clients, page = (
        ", ".join(
            one if one.startswith("unix:") else f"http{'s' * (tls is not None)}://{one}{path}" for one in addresses
        )
        for addresses, tls, path in ((ports.data.addresses, server.tls, "/v1"), (pages, server.admin_tls, "/"))
    )
    return f"clients: {clients}; the page: {page}"


def _publish_admin_address(stack: contextlib.AsyncExitStack, source: ConfigSource, admin: str, log: Log) -> None:
    """Publish the address of the admin port for commands until the end; without it they use the config file."""
    try:
        stack.enter_context(running_service.published(files.runtime_directory() or source.state, source.path, admin))
    except OSError as error:
        log.write("warning", "admin", message=f"commands go by the config file ({error.strerror or error})")


@contextlib.asynccontextmanager
async def running(prepared: PreparedConfig, log: Log) -> AsyncIterator[Generations]:
    """Run everything behind the listeners."""
    generations = Generations(prepared, log)
    metrics = generations.metrics
    gauges.watch(metrics, log, generations.stored, lambda: generations.current)
    gauges.watch_models(metrics, generations.models, lambda: generations.current.balancer.all)
    generations.supervisor.start("loop_lag", lambda: loop_lag.watch(metrics.loop_lag_seconds.add))
    generations.supervisor.start("recent", metrics.recent.watch)
    generations.supervisor.start("traffic", generations.traffic.watch)
    generations.supervisor.start("models", generations.models.run)
    try:
        async with persisted(generations.stored, generations.answers, generations.supervisor, log):
            yield generations
    finally:
        await generations.close()


def _run_background(generations: Generations, reloader: Reloader, systemd: Systemd) -> list[asyncio.Task[None]]:
    """Start the background work that ends with the first signal: reload, and notify systemd."""
    start = generations.supervisor.start
    return [
        start("reloader", reloader.run),
        start("watcher", reloader.watch),
        start("systemd", lambda: _notify_systemd(generations, reloader, systemd)),
    ]


async def _notify_systemd(generations: Generations, reloader: Reloader, systemd: Systemd) -> None:
    """Report readiness, then feed the watchdog and report the status; a blocked event loop misses its deadline."""
    generation = generations.current
    grace = GRACE_SECONDS if generation.config.pointsman.adapters.poll_interval_ms else 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(grace):
            await generation.poller.answered.wait()
    systemd.notify.ready(reloader.status())
    interval = STATUS_SECONDS if systemd.watchdog_s is None else min(STATUS_SECONDS, systemd.watchdog_s / 3)
    reported = ""
    while True:
        if generations.current.classifier.encoder.healthy:
            systemd.notify.alive()
        if (status := reloader.status()) != reported:
            systemd.notify.status(status)
            reported = status
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

"""Listeners and the life cycle: load, listen, serve until a signal, drain."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import logging
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from pointsman import __version__, demo, loop_lag
from pointsman.adapters import Poller
from pointsman.api import health_routes, json_response, openai_errors, routes
from pointsman.classify.classifier import Classifier
from pointsman.config.address import Tcp
from pointsman.config.address import listen as parse_address
from pointsman.config.model import Config
from pointsman.errors import CannotStart
from pointsman.relay.endpoints import Endpoints
from pointsman.relay.upstream import Upstream
from pointsman.router import Router
from pointsman.service import Service
from pointsman.telemetry import Log, Metrics, Texts

# Longer than the 60 s for which vllm bench keeps a connection, so that the client closes first, not we.
KEEPALIVE_SECONDS = 75


async def serve(
    config: Config, classifier: Classifier, *, warnings: Sequence[str] = (), stand_in: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT, then let running answers end; raises CannotStart."""
    options = config.pointsman
    log = Log(options.log.level)
    for warning in warnings:
        log.write("warning", "config", message=warning)
    for note in classifier.notes:
        log.write("warning", "classifier", message=note)
    log.write("info", "classifier", **classifier.settings())
    _adopt_logging(log)
    stop = _stop_event()
    async with contextlib.AsyncExitStack() as stack:
        if stand_in:
            for runner in await demo.start(config):
                stack.push_async_callback(runner.cleanup)
            log.write("warning", "stand_in", message="no vLLM: a stand-in says which model it was asked for")
        service = await stack.enter_async_context(running(config, classifier, log))
        data, admin = _apps(service)
        drain = options.server.drain_timeout_ms / 1000
        await _listen(stack, admin, [options.server.admin_listen], drain)
        await _listen(stack, data, options.server.listen, drain)
        log.write(
            "info",
            "ready",
            version=__version__,
            listen=options.server.listen,
            admin=options.server.admin_listen,
            classifier=classifier.artifact.folder.name,
            endpoints={endpoint.name: endpoint.address for endpoint in config.vllm_endpoints},
        )
        await stop.wait()
        log.write("info", "stopping", in_flight=sum(service.endpoints.in_flight.values()))


@contextlib.asynccontextmanager
async def running(config: Config, classifier: Classifier, log: Log) -> AsyncIterator[Service]:
    """Everything behind the listeners."""
    async with Upstream(config.vllm_endpoints, config.pointsman.relay) as upstream:
        poller = Poller(
            config.vllm_endpoints,
            upstream.models,
            lambda endpoint, state: log.write("info", "endpoint", endpoint=endpoint, state=state),
        )
        router = Router(config, classifier, lambda: poller.served)
        texts_file = config.pointsman.log.texts_file
        texts = None if texts_file is None else Texts(Path(texts_file))
        metrics = Metrics(_names(config))
        _watch(metrics, classifier)
        service = Service(
            config=config,
            router=router,
            upstream=upstream,
            poller=poller,
            endpoints=Endpoints(),
            metrics=metrics,
            log=log,
            texts=texts,
            started=time.time(),
        )
        interval = config.pointsman.adapters.poll_interval_ms / 1000
        tasks = [asyncio.create_task(loop_lag.watch(metrics.loop_lag_seconds.observe))]
        if interval:
            tasks.append(asyncio.create_task(poller.run(interval)))
        try:
            yield service
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if texts is not None:
                texts.close()


def _apps(service: Service) -> tuple[web.Application, web.Application]:
    data = web.Application(client_max_size=service.config.pointsman.server.max_body_bytes, middlewares=[openai_errors])
    data.add_routes([*routes(service), *health_routes(service.router)])
    admin = web.Application(middlewares=[openai_errors])

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=service.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def config(_: web.Request) -> web.Response:
        return json_response(dataclasses.asdict(service.config))

    admin.add_routes([web.get("/metrics", metrics), web.get("/config", config), *health_routes(service.router)])
    return data, admin


async def _listen(
    stack: contextlib.AsyncExitStack, app: web.Application, addresses: Iterable[str], drain: float
) -> None:
    runner = web.AppRunner(
        app,
        access_log=None,
        handler_cancellation=True,  # a client that leaves ends its handler, which closes the request to vLLM
        keepalive_timeout=KEEPALIVE_SECONDS,
        shutdown_timeout=drain,
    )
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    for address in addresses:
        try:
            await _site(runner, address).start()
        except OSError as error:
            raise CannotStart(
                f"cannot listen at {address} ({error.strerror or error}); "
                "change pointsman.server.listen or admin_listen, or stop what listens there"
            ) from error


def _site(runner: web.AppRunner, address: str) -> web.BaseSite:
    where = parse_address(address)
    if isinstance(where, Tcp):
        return web.TCPSite(runner, where.host, where.port)
    _remove_stale(Path(where.path))
    return web.UnixSite(runner, where.path)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a process that was killed; raises OSError where one listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


def _stop_event() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def _names(config: Config) -> frozenset[str]:
    loras = (lora.name for model in config.model_config.values() for lora in model.loras)
    return frozenset({*config.model_config, config.default_model, *loras})


def _watch(metrics: Metrics, classifier: Classifier) -> None:
    metrics.watch("classifier_queue", "Texts that wait for a worker.", lambda: classifier.queued)

    def read() -> dict[str, tuple[str, float]]:
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


class _Bridge(logging.Handler):
    """What libraries log, as one line each: aiohttp logs a traceback for every malformed request."""

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

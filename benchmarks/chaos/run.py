"""Run one daemon, two upstreams and many clients, and collect the evidence once everything is idle."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from pathlib import Path
from typing import Any

from chaos.clients import Clients
from chaos.upstream import Chaotic
from chaos.verdict import Evidence, Sample, judge, left_over
from support import toy_artifact
from support.daemon import Daemon, run_daemon
from support.metrics import Metrics, scrape
from support.raw_client import ask, chat

CLIENTS = 16
"""Concurrent clients; more would only measure how busy the machine is."""
SAMPLES = 200
SETTLE_SECONDS = 10.0
IDLE_SECONDS = 4.0
"""Longer than the daemon keeps an idle upstream connection."""
_LIMITS = {
    "connect_timeout_ms": 1000,
    "first_byte_timeout_ms": 1500,
    "idle_timeout_ms": 1500,
    "health_interval_ms": 500,
    "breaker_open_ms": 500,
}


async def run(folder: Path, seconds: float, seed: int) -> dict[str, Any]:
    """Run chaos for this many seconds and return the verdict; config and log of the daemon are in `folder`."""
    upstreams = [Chaotic(random.Random(f"{seed} {name}")) for name in "ab"]
    for upstream in upstreams:
        await upstream.listen()
    found: dict[str, Any] = {"faults": []}
    try:
        async with run_daemon(config(folder, *(upstream.port for upstream in upstreams)), folder) as daemon:
            found = judge(await _watched(daemon, upstreams, seconds, seed))
    except AssertionError:
        if not found["faults"]:  # otherwise the faults already contain the log's problems
            raise
    finally:
        for upstream in upstreams:
            await upstream.die()
    return found


def config(folder: Path, *ports: int) -> dict[str, Any]:
    """Return a config with two adapters, a toy classifier and short timeouts."""

    def category(label: str, lora: str) -> dict[str, Any]:
        return {"name": label, "model_scores": [{"model": "base", "lora_name": lora, "use_reasoning": False}]}

    return {
        "classifier": {"category_model": {"model_id": str(toy_artifact.build(folder / "toy"))}},
        "vllm_endpoints": [
            {"name": name, "address": "127.0.0.1", "port": port} for name, port in zip("ab", ports, strict=True)
        ],
        "model_config": {"base": {"loras": [{"name": "law-lora"}, {"name": "code-lora"}]}},
        "categories": [category("law", "law-lora"), category("computer science", "code-lora")],
        "default_model": "base",
        "pointsman": {"classifier": {"threads": 1}, "relay": _LIMITS, "adapters": {"poll_interval_ms": 1000}},
    }


async def _watched(daemon: Daemon, upstreams: list[Chaotic], seconds: float, seed: int) -> Evidence:
    for number in range(20):
        await ask(daemon.base_url, chat(), f"X-Request-Id: warm-up-{number}")
    await daemon.logged("routing_decision", request_id="warm-up-19")
    before = await scrape(daemon)
    start = sample(daemon)
    wall = time.time() - time.monotonic()
    warm = len(daemon.log_lines())
    for upstream in upstreams:
        upstream.ran.clear()
        upstream.calm = False
    clients = Clients(daemon.base_url, random.Random(seed))
    samples = await _chaos(daemon, upstreams, clients, seconds)
    await asyncio.sleep(IDLE_SECONDS)
    after = await _settled(daemon)
    return Evidence(
        asked=clients.asked,
        ran=[*(item for up in upstreams for item in up.ran), *(one.record() for up in upstreams for one in up.running)],
        lines=daemon.log_lines()[warm:],
        wall=wall,
        gauges=after.gauges(),
        refused=_more("refused_total", before, after, reason="malformed"),
        counted=_more("requests_total", before, after),
        samples=samples,
        start=start,
        end=sample(daemon),
        malformed=[text for upstream in upstreams for text in upstream.malformed],
    )


async def _chaos(daemon: Daemon, upstreams: list[Chaotic], clients: Clients, seconds: float) -> list[Sample]:
    """Run all clients and upstreams for this long; return samples of the daemon's resources."""
    stop, samples = asyncio.Event(), []
    async with asyncio.TaskGroup() as group:
        for _ in range(CLIENTS):
            group.create_task(clients.run(stop))
        for upstream in upstreams:
            group.create_task(upstream.lapses(stop))
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            samples.append(sample(daemon))
            for upstream in upstreams:
                upstream.forget()
            await asyncio.sleep(seconds / SAMPLES)
        stop.set()
    return samples


async def _settled(daemon: Daemon) -> Metrics:
    """Return the metrics once nothing is in flight, or after the time limit."""
    metrics = await scrape(daemon)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            while left_over(metrics.gauges()):
                await asyncio.sleep(0.1)
                metrics = await scrape(daemon)
    return metrics


def _more(name: str, before: Metrics, after: Metrics, **labels: str) -> int:
    return int(after.total(name, **labels) - before.total(name, **labels))


def sample(daemon: Daemon) -> Sample:
    """Return the daemon's memory and descriptors."""
    process = Path(f"/proc/{daemon.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Sample(int(status["VmRSS"].split()[0]) * 1024, len(list((process / "fd").iterdir())))

"""Watch a daemon, its clients and its upstreams during a run, and collect the evidence once everything is idle."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos.clients import RandomClients
from chaos.evidence import ChaosEvidence, ResourceSample, Ticks
from chaos.rules.resources import left_over
from chaos.upstream import ChaoticUpstream
from support.daemon import Daemon
from support.metrics import Metrics, scrape
from support.raw_client import ask, chat

CLIENTS = 16
"""Concurrent clients; more would only measure how busy the machine is."""
SAMPLES = 200
TICK_SECONDS = 0.005
SETTLE_SECONDS = 10.0
IDLE_SECONDS = 4.0
"""Longer than the daemon keeps an idle upstream connection."""


@dataclass
class EvidenceCollector:
    """The evidence of a run, as it is collected."""

    daemon: Daemon
    upstreams: Sequence[ChaoticUpstream]
    before: Metrics
    start: ResourceSample
    warm: int
    """Lines in the log from before the run."""
    wall: float = field(default_factory=lambda: time.time() - time.monotonic())
    ticks: Ticks = field(default_factory=Ticks)

    @classmethod
    async def begin(cls, daemon: Daemon, upstreams: Sequence[ChaoticUpstream]) -> EvidenceCollector:
        """Warm the daemon up and note its state."""
        for number in range(20):
            await ask(daemon.base_url, chat(), f"X-Request-Id: warm-up-{number}")
        await daemon.logged("routing_decision", request_id="warm-up-19")
        watch = cls(daemon, upstreams, await scrape(daemon), sample(daemon), len(daemon.log_lines()))
        for upstream in upstreams:
            upstream.ran.clear()
        return watch

    async def chaos(
        self, clients: RandomClients, seconds: float, *, lapses: bool, enough: Callable[[], bool] = lambda: False
    ) -> list[ResourceSample]:
        """Run clients and upstreams for this long or until it is `enough`; return samples of the daemon's resources.

        With `lapses`, the upstreams are killed and restarted now and then.
        """
        stop, samples = asyncio.Event(), []
        ticking = asyncio.create_task(self._tick())
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(clients.run(stop))
            for upstream in self.upstreams if lapses else ():
                group.create_task(upstream.lapses(stop))
            end = time.monotonic() + seconds
            while time.monotonic() < end and not enough():
                samples.append(sample(self.daemon))
                for upstream in self.upstreams:
                    upstream.forget()
                await asyncio.sleep(seconds / SAMPLES)
            stop.set()
        await asyncio.sleep(IDLE_SECONDS)
        ticking.cancel()
        return samples

    async def _tick(self) -> None:
        while True:
            self.ticks.add(time.monotonic(), waited(self.daemon.process.pid))
            await asyncio.sleep(TICK_SECONDS)

    async def end(self, clients: RandomClients, samples: Sequence[ResourceSample]) -> ChaosEvidence:
        """Return the evidence once the daemon is idle."""
        after = await _settled(self.daemon)
        running = [answer.record() for upstream in self.upstreams for answer in upstream.running]
        return ChaosEvidence(
            asked=clients.asked,
            ran=[*(item for upstream in self.upstreams for item in upstream.ran), *running],
            lines=self.daemon.log_lines()[self.warm :],
            wall=self.wall,
            gauges=after.gauges(),
            refused=_more("refused_total", self.before, after, reason="malformed"),
            counted=_more("requests_total", self.before, after),
            samples=samples,
            start=self.start,
            end=sample(self.daemon),
            malformed=[text for upstream in self.upstreams for text in upstream.malformed],
            ticks=self.ticks,
        )


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


def sample(daemon: Daemon) -> ResourceSample:
    """Return the daemon's memory and descriptors."""
    process = Path(f"/proc/{daemon.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return ResourceSample(int(status["VmRSS"].split()[0]) * 1024, len(list((process / "fd").iterdir())))


def waited(pid: int) -> float:
    """Return the seconds that a process's main thread was runnable without a core; 0 if the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1]) / 1e9
    except OSError:
        return 0.0

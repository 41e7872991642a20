"""Run one daemon, honest clients and one attack after another, and collect the evidence."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import resource
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.rules.resources import left_over
from chaos.watch import waited

from pointsman.classify.manifest import MODEL
from soak.answer import ADAPTERS, BASE
from soak.attacks import ATTACKS
from soak.attacks.bodies import shapes
from soak.attacks.target import AttackedDaemon
from soak.child import child
from soak.evidence import QUIET, DaemonSample, Phase, SoakEvidence, read
from soak.log_reader import reading
from soak.plan import SoakPlan
from soak.upstream import run_upstream
from support import toy_artifact
from support.daemon import Daemon, run_daemon
from support.metrics import Metrics, scrape
from support.process import reserve_port
from support.raw_client import ask, chat

MAX_BUFFERED_BYTES = 256 * 2**20
"""The default of `server.max_buffered_bytes`."""
FILES = 8192
SAMPLE_SECONDS = 0.5
WARM_UP = 200
IDLE_SECONDS = 5.0
"""Longer than the daemon keeps an idle connection to vLLM."""
SETTLE_SECONDS = 20.0


async def run(folder: Path, plan: SoakPlan) -> SoakEvidence:
    """Return the evidence of a soak; the daemon's files are in `folder`."""
    _permit_files()
    artifacts, honest, port = build(folder), folder / "honest.jsonl", reserve_port()
    with reading() as (log, stderr):
        configured = config(artifacts["good"], port, plan)
        async with contextlib.AsyncExitStack() as running:
            daemons, others = cores()
            os.sched_setaffinity(0, others)  # children inherit it
            upstream = await running.enter_async_context(run_upstream(port))
            os.sched_setaffinity(0, daemons)
            daemon = await running.enter_async_context(run_daemon(configured, folder, stderr=stderr))
            os.sched_setaffinity(0, others)
            target = AttackedDaemon(daemon, upstream, log, shapes(), artifacts)
            for number in range(WARM_UP):
                await ask(daemon.base_url, chat(f"{'landlord' if number % 2 else 'hello'} w{number}", "MoM"))
            await asyncio.sleep(IDLE_SECONDS)
            start = sample(daemon)
            soak = Soak(target)
            async with child("soak.honest", daemon.base_url, f"http://127.0.0.1:{port}", str(honest)):
                _yield_to_all_others()
                await soak.run(plan)
            await asyncio.sleep(IDLE_SECONDS)
            after = await _settled(daemon)
            end, peak = sample(daemon), _peak(daemon)
    asked, direct, lags = read(honest)
    return SoakEvidence(
        asked=asked,
        direct=direct,
        lags=lags,
        phases=soak.phases,
        samples=soak.samples,
        start=start,
        end=end,
        peak=peak,
        max_buffered=MAX_BUFFERED_BYTES,
        gauges=after.gauges(),
        attacks=soak.did,
        dropped=int(after.total("log_lines_dropped_total")),
        errors=log.errors,
    )


@dataclass
class Soak:
    """Phases, attacks and samples, as they come."""

    target: AttackedDaemon
    phases: list[Phase] = field(default_factory=list)
    samples: list[DaemonSample] = field(default_factory=list)
    did: dict[str, Counter[str]] = field(default_factory=dict)

    async def run(self, plan: SoakPlan) -> None:
        """Alternate quiet phases and attacks."""
        sampling = asyncio.create_task(self._sample())
        try:
            for _, name in zip(range(plan.pairs), itertools.cycle(ATTACKS), strict=False):
                await self._phase(QUIET, plan.quiet_s, plan.settle_s)
                await self._phase(name, plan.attack_s, 0.0)
            await self._phase(QUIET, plan.quiet_s, plan.settle_s)
        finally:
            sampling.cancel()

    async def _phase(self, name: str, seconds: float, settle: float) -> None:
        before, begun = await scrape(self.target.daemon), time.monotonic()
        self.target.did = self.did.setdefault(name, Counter()) if name != QUIET else Counter()
        attack = asyncio.create_task(ATTACKS[name](self.target)) if name != QUIET else None
        await asyncio.sleep(seconds)
        ended = time.monotonic()
        if attack is not None:
            if attack.done():
                attack.result()
            attack.cancel()
            await asyncio.wait([attack])
        lag = histogram(before, await scrape(self.target.daemon), "loop_lag_seconds")
        self.phases.append(Phase(name, begun, ended, settle, lag))
        print(f"{name}: {dict(self.target.did)}", flush=True)

    async def _sample(self) -> None:
        while True:
            self.samples.append(sample(self.target.daemon))
            await asyncio.sleep(SAMPLE_SECONDS)


def _yield_to_all_others() -> None:
    """Let this process, which attacks, run only where nobody else wants to: attackers have machines of their own."""
    os.sched_setscheduler(0, os.SCHED_IDLE | os.SCHED_RESET_ON_FORK, os.sched_param(0))


def cores() -> tuple[set[int], set[int]]:
    """Return the cores of the daemon and those of all else: half each."""
    found = sorted(os.sched_getaffinity(0))
    half = len(found) // 2
    return set(found[:half] or found), set(found[half:])


def build(folder: Path) -> dict[str, Path]:
    """Write the artifacts: two good ones, and those that a reload must refuse."""
    return {
        "good": toy_artifact.build(folder / "good"),
        "another good": toy_artifact.build(folder / "another", temperature=2.0),
        "NaN": toy_artifact.build(folder / "nan", {MODEL: toy_artifact.adding_model(float("nan"))}),
        "temperature 0": toy_artifact.build(folder / "cold", temperature=0.0),
        "endless": toy_artifact.build(folder / "endless", {MODEL: toy_artifact.endless_model()}),
    }


def config(artifact: Path, port: int, plan: SoakPlan) -> dict[str, Any]:
    """Return a config with two adapters and the default of everything else, unless the plan is too short for it."""
    labels = {"landlord": "law", "python": "computer science"}
    return {
        "classifier": {"category_model": {"model_id": str(artifact)}},
        "vllm_endpoints": [{"name": "a", "address": "127.0.0.1", "port": port}],
        "model_config": {BASE: {"loras": [{"name": lora} for lora in ADAPTERS.values()]}},
        "categories": [
            {"name": labels[word], "model_scores": [{"model": BASE, "lora_name": lora, "use_reasoning": False}]}
            for word, lora in ADAPTERS.items()
        ],
        "default_model": BASE,
        "pointsman": plan.options(),
    }


def histogram(before: Metrics, after: Metrics, name: str) -> Mapping[str, float]:
    """Return by how much each bucket of a histogram rose, by its upper bound."""
    was = before.by(f"{name}_bucket", "le")
    return {bound: count - was.get(bound, 0) for bound, count in after.by(f"{name}_bucket", "le").items()}


def sample(daemon: Daemon) -> DaemonSample:
    """Return the daemon's resources."""
    pid = daemon.process.pid
    return DaemonSample(
        time.monotonic(), _status(pid, "VmRSS"), len(list(Path(f"/proc/{pid}/fd").iterdir())), waited(pid)
    )


def _peak(daemon: Daemon) -> int:
    return _status(daemon.process.pid, "VmHWM")


def _status(pid: int, name: str) -> int:
    """Return a size from the kernel's status of a process, in bytes."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status[name].split()[0]) * 1024


def _permit_files() -> None:
    """Allow this process the connections of the floods."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, hard), hard))


async def _settled(daemon: Daemon) -> Metrics:
    """Return the metrics once nothing is in flight, or after the time limit."""
    metrics = await scrape(daemon)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            while left_over(metrics.gauges()):
                await asyncio.sleep(0.1)
                metrics = await scrape(daemon)
    return metrics

"""Measure the service under limits as systemd sets them: the memory that it takes, and what a quota of CPU time does.

Each daemon is alone in a cgroup, as `MemoryMax=` and `CPUQuota=` make one; that takes root. Clients and upstream share
the rest of the machine. Writes benchmarks/results/limits.json and limits.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from markdown import publish, table
from provenance import processor, provenance
from startup import RESULT, TEXTS, free_port, memory, wait_until_ready
from target import quantile

from pointsman.classify.cores import CGROUPS, default_threads
from support.fake_vllm import run_fake_vllm
from support.health_prober import probing
from support.raw_client import post
from support.service import chat, shipped_config

MIB = 2**20
ADAPTERS = 32
BODIES, BODY_BYTES = 8, 32 * MIB - 64 * 1024
"""They fill the default `server.max_buffered_bytes`, and each is nearly as large as one may be."""
LIMITS_MIB = (256, 320, 384, 512)
QUOTAS = (None, 200, 100, 50)
"""In percent of a core."""
ANSWER_SECONDS = 60.0
RATE, SECONDS = 40, 10
DECIDED = ("classified", "low_confidence", "no_category")
V2 = (CGROUPS / "cgroup.controllers").exists()


@dataclass(frozen=True)
class Group:
    """A cgroup: one folder in version 2, one for each kind of limit in version 1."""

    cpu: Path
    memory: Path

    @property
    def peak_mib(self) -> float:
        """The most that it has had, with caches and the kernel's part, which `MemoryMax=` counts as well."""
        file = self.memory / ("memory.peak" if V2 else "memory.max_usage_in_bytes")
        return round(int(file.read_text()) / MIB, 1)

    def stopped(self) -> tuple[int, float]:
        """The number of times that the quota was used up, and the milliseconds for which threads were stopped."""
        counts = dict(line.split() for line in (self.cpu / "cpu.stat").read_text().splitlines())
        ms = int(counts["throttled_usec"]) / 1e3 if V2 else int(counts["throttled_time"]) / 1e6
        return int(counts["nr_throttled"]), ms


@contextlib.contextmanager
def group(quota: int | None = None, mib: int | None = None) -> Iterator[Group]:
    """Make a cgroup with these limits for the block."""
    cpu, memory = (CGROUPS / ("" if V2 else kind) / "pointsman-limits" for kind in ("cpu", "memory"))
    for folder in {cpu, memory}:
        folder.mkdir()
    try:
        if quota is not None:
            file, value = ("cpu.max", f"{quota}000 100000") if V2 else ("cpu.cfs_quota_us", f"{quota}000")
            (cpu / file).write_text(value)
        if mib is not None:
            (memory / ("memory.max" if V2 else "memory.limit_in_bytes")).write_text(str(mib * MIB))
        yield Group(cpu, memory)
    finally:
        for folder in {cpu, memory}:
            folder.rmdir()


@dataclass(frozen=True)
class LimitedDaemon:
    """A daemon that was ready after some seconds."""

    process: asyncio.subprocess.Process
    port: int
    ready_s: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def serving(config: dict[str, Any], folder: Path, limits: Group) -> AsyncIterator[LimitedDaemon]:
    """Start a daemon in a cgroup, and wait until it is ready."""
    port = free_port()
    server = {"listen": [f"127.0.0.1:{port}"], "admin_listen": f"unix:{folder}/admin"}
    options = config.get("pointsman", {}) | {"server": server}
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config | {"pointsman": options}))
    enter = 'echo $$ >"$1/cgroup.procs" && echo $$ >"$2/cgroup.procs" && shift 2 && exec "$@"'
    daemon = (sys.executable, "-m", "pointsman", "serve", "--config", file)
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", enter, "sh"),
        *(limits.cpu, limits.memory),
        *daemon,
        stderr=asyncio.subprocess.DEVNULL,
        env={"STATE_DIRECTORY": str(folder), "PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin"},
    )
    try:
        await asyncio.to_thread(wait_until_ready, port)
        yield LimitedDaemon(process, port, round(time.perf_counter() - started, 2))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = provenance() | asyncio.run(measure(Path(folder)))
    publish(RESULT.with_name("limits.json"), result, rendered(result))


async def measure(folder: Path) -> dict[str, Any]:
    async with run_fake_vllm() as upstream:
        shipped = shipped_config(upstream.port)
        with group() as limits:  # the first start measures the classifier
            async with serving(shipped, folder, limits):
                pass
        return {
            "memory_mib": {
                "the three adapters as shipped": await peaks(shipped, folder),
                f"{ADAPTERS} adapters": await peaks(with_adapters(shipped), folder),
            },
            "memory_max": {str(mib): await survives(shipped, folder, mib) for mib in LIMITS_MIB},
            "cpu_quota": {str(quota or "none"): await under_quota(shipped, folder, quota) for quota in QUOTAS},
        }


def with_adapters(config: dict[str, Any]) -> dict[str, Any]:
    ((base, model),) = config["model_config"].items()
    loras = [*model["loras"], *({"name": f"adapter-{number}"} for number in range(ADAPTERS - len(model["loras"])))]
    return config | {"model_config": {base: model | {"loras": loras}}}


async def peaks(config: dict[str, Any], folder: Path) -> dict[str, float]:
    """Return the resident memory when ready and after texts, and the peak of the cgroup after the largest bodies."""
    with group() as limits:
        async with serving(config, folder, limits) as served, aiohttp.ClientSession(served.url) as client:
            ready, ready_peak = memory(served.process.pid)["Rss"], limits.peak_mib
            for text in TEXTS:
                await asked(client, text)
            used, used_peak = memory(served.process.pid)["Rss"], limits.peak_mib
            forwarded = await large_bodies(served)
            return {
                "ready": ready,
                "ready_peak": ready_peak,
                "used": used,
                "used_peak": used_peak,
                "bodies_peak": limits.peak_mib,
                "bodies": forwarded,
            }


async def survives(config: dict[str, Any], folder: Path, mib: int) -> dict[str, Any]:
    """Return whether the daemon lives on with this limit after texts, and after the largest bodies."""
    found: dict[str, Any] = {"texts": False, "bodies": False}
    with group(mib=mib) as limits, contextlib.suppress(OSError, aiohttp.ClientError, TimeoutError):
        async with serving(config, folder, limits) as served, aiohttp.ClientSession(served.url) as client:
            for text in TEXTS:
                await asked(client, text)
            found["texts"] = served.process.returncode is None
            await large_bodies(served)
            await asked(client, "Is it still there?")
            found["bodies"] = served.process.returncode is None
    return found


async def under_quota(config: dict[str, Any], folder: Path, quota: int | None) -> dict[str, Any]:
    """Return what clients have of new prompts that come at a steady rate, and how long `/health` takes meanwhile."""
    # As the service chooses by `cpu.max`, which hosts with version 1 of cgroups have not.
    threads = default_threads(2 if quota is None else max(1, quota // 100))
    config = config | {"pointsman": {"classifier": {"threads": threads}}}
    with group(quota=quota) as limits:
        async with serving(config, folder, limits) as served, aiohttp.ClientSession(served.url) as client:
            waits: list[float] = []
            reasons: list[str] = []

            async def one(number: int) -> None:
                began = time.perf_counter()
                reasons.append(await asked(client, f"Case {number}: {TEXTS[number % len(TEXTS)]}"))
                waits.append((time.perf_counter() - began) * 1000)

            before = limits.stopped()
            async with probing(served.url) as delays, asyncio.TaskGroup() as tasks:
                for number in range(RATE * SECONDS):
                    tasks.create_task(one(number))
                    await asyncio.sleep(1 / RATE)
            times, ms = (after - first for after, first in zip(limits.stopped(), before, strict=True))
    return {
        "threads": threads,
        "ready_s": served.ready_s,
        "classified": round(sum(reason in DECIDED for reason in reasons) / len(reasons), 3),
        "stopped": times,
        "stopped_ms": round(ms / times, 1) if times else 0.0,
        "p50_ms": round(quantile(waits, 0.5), 1),
        "p99_ms": round(quantile(waits, 0.99), 1),
        "health_p50_ms": round(quantile(delays, 0.5), 2),
        "health_p99_ms": round(quantile(delays, 0.99), 2),
    }


async def asked(client: aiohttp.ClientSession, text: str) -> str:
    """Return the reason of a decision."""
    async with client.post("/v1/route", json=chat(text)) as response:
        reason: str = (await response.json())["decision"]["reason"]
        return reason


async def large_bodies(served: LimitedDaemon) -> int:
    """Send bodies that are all in memory before one is whole, and then end them; return how many were forwarded.

    Each is of another client, since one may have a quarter of the room.
    """
    request = post(chat("a word " * (BODY_BYTES // 7)))
    addresses = [("127.0.0.1", served.port, (f"127.0.0.{number + 2}", 0)) for number in range(BODIES)]
    streams = [await asyncio.open_connection(host, port, local_addr=own) for host, port, own in addresses]
    try:
        for _, writer in streams:
            writer.write(request[:-1])
        await asyncio.gather(*(writer.drain() for _, writer in streams))
        for _, writer in streams:
            writer.write(request[-1:])
        async with asyncio.timeout(ANSWER_SECONDS):
            lines = await asyncio.gather(*(reader.readline() for reader, _ in streams))
        return sum(b" 200 " in line for line in lines)
    finally:
        for _, writer in streams:
            writer.close()


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    memories, quotas = result["memory_mib"], result["cpu_quota"]
    alive = {True: "yes", False: "killed"}
    return [
        "# Limits of systemd",
        "",
        f"One daemon with the built-in classifier on {processor(result['machine'])}, commit {result['commit']},",
        f"{result['time']} (`make bench-limits`).",
        "",
        "## Memory",
        "",
        f"In MiB: resident when ready and after {len(TEXTS)} texts, and the peak of the cgroup then and after {BODIES}",
        "bodies of 32 MiB at once, which fill `server.max_buffered_bytes`. A cgroup counts the kernel's buffers, too,",
        "and of files what nobody has read before, which it can drop.",
        "",
        *table(
            ["config", "ready", "used", "peak ready", "peak used", "peak with bodies"],
            [
                [name, *(f"{one[key]:.0f}" for key in ("ready", "used", "ready_peak", "used_peak", "bodies_peak"))]
                for name, one in memories.items()
            ],
        ),
        "",
        "Whether the daemon lives with a limit:",
        "",
        *table(
            ["`MemoryMax=`", "texts", "bodies"],
            [[f"{mib}M", alive[one["texts"]], alive[one["bodies"]]] for mib, one in result["memory_max"].items()],
        ),
        "",
        "## CPU time",
        "",
        f"{RATE} new prompts a second of 10 to 300 tokens for {SECONDS} s: the share that is classified within",
        "`classifier.deadline_ms`, the times of their decisions, and those of `/health`, asked without a pause, in ms.",
        "*stopped* is how often the quota of a tenth of a second was used up, and for how long each time. `none` has",
        "all cores of the machine.",
        "",
        *table(
            [
                "`CPUQuota=`",
                "threads",
                "ready s",
                "classified",
                "stopped",
                "ms each",
                "p50",
                "p99",
                "`/health` p50",
                "`/health` p99",
            ],
            [
                [
                    "none" if quota == "none" else f"{quota}%",
                    f"{one['threads']}",
                    f"{one['ready_s']:.1f}",
                    f"{one['classified']:.1%}",
                    f"{one['stopped']}",
                    f"{one['stopped_ms']:.0f}",
                    *(f"{one[key]:.1f}" for key in ("p50_ms", "p99_ms", "health_p50_ms", "health_p99_ms")),
                ]
                for quota, one in quotas.items()
            ],
        ),
    ]


if __name__ == "__main__":
    main()

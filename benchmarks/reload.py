"""Reload fifty times under load: count lost and mixed requests, and measure the latency during reloads.

Each reload changes everything that decides a request (categories, adapters, prompts, threshold, endpoint, key), and
every fifth changes the classifier, too. Clients and upstream share one process next to the daemon. Writes
benchmarks/results/reload.json.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.metrics import lag_p99_ms, loop_lag
from provenance import provenance
from startup import RESULT, memory
from target import median, quantile

from pointsman.classify.artifact import BUILTIN, MANIFEST
from support.daemon import Daemon, run_daemon
from support.fake_vllm import run_fake_vllm
from support.two_sides import Load, answer, config, put, reload, url

CLIENTS = 4
RELOADS = 50
SWAP_EACH = 5
SETTLE_SECONDS = 2.0
QUIET_SECONDS = 10.0
PAUSE_SECONDS = 0.3
# Logged by the daemon if it found no cost curve of an earlier, quieter moment.
MEASURED = "the host was busy while the classifier was measured"
SURE = "How do I sort a list in Python? Case"
BETWEEN = "May I reverse engineer a program under its licence?"


@dataclass(frozen=True, slots=True)
class Reload:
    """One reload; `began` and `ended` are loop times. On a stalled host the daemon may find the file by itself."""

    began: float
    ended: float
    loaded: bool

    def met(self, span: tuple[float, float]) -> bool:
        """Return whether a request overlapped with this reload."""
        return span[0] < self.ended and span[1] > self.began


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = provenance() | asyncio.run(measure(Path(folder)))
    print(json.dumps(result, indent=2))
    RESULT.with_name("reload.json").write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(bool(result["dropped"] or result["mixed"]))


async def measure(folder: Path) -> dict[str, Any]:
    """Measure without reloads first, then with them."""
    artifacts = [str(BUILTIN), str(other_classifier(folder / "other"))]
    async with run_fake_vllm() as upstream, asyncio.TaskGroup() as group:
        upstream.answer = answer
        first = config("a", upstream.port, folder, artifacts[0])
        async with run_daemon(first, folder, env={"STATE_DIRECTORY": str(folder)}) as daemon:
            admin_port = int(daemon.admin_url.rpartition(":")[2])
            load = Load(url(daemon), SURE, BETWEEN)
            running = group.create_task(load.run(CLIENTS))
            await asyncio.sleep(SETTLE_SECONDS)
            settled, begun = len(load.spans), await asyncio.to_thread(loop_lag, admin_port)
            await asyncio.sleep(QUIET_SECONDS)
            quiet, calm = len(load.spans), await asyncio.to_thread(loop_lag, admin_port)
            done: list[Reload] = []
            measured = daemon.log_text().count(MEASURED)
            before = memory(daemon.process.pid)["Rss"]
            resident: list[float] = []
            for number in range(RELOADS):
                model_id = artifacts[(number + 1) // SWAP_EACH % 2]
                put(daemon.config, config("ba"[number % 2], upstream.port, folder, model_id))
                done.append(await reloaded(daemon))
                await asyncio.sleep(PAUSE_SECONDS)
                resident.append(memory(daemon.process.pid)["Rss"])
            after = await asyncio.to_thread(loop_lag, admin_port)
            load.over.set()
            await running
    met = [span for span in load.spans[quiet:] if any(one.met(span) for one in done)]
    return {
        "clients": CLIENTS,
        "reloads": len(done),
        "classifiers_loaded": sum(one.loaded for one in done),
        "classifiers_measured": daemon.log_text().count(MEASURED) - measured,
        "requests": load.requests,
        "dropped": len(load.dropped),
        "mixed": len(load.mixed),
        "latency_ms": {"quiet": spread(load.spans[settled:quiet]), "during_reloads": spread(met)},
        "reload_ms": {
            kind: spread((one.began, one.ended) for one in done if one.loaded is loaded)
            for kind, loaded in (("classifier_kept", False), ("classifier_loaded", True))
        },
        "loop_lag_p99_ms": {"quiet": lag_p99_ms(begun, calm), "with_reloads": lag_p99_ms(calm, after)},
        "resident_mib": {"before": before, "fifth": middle(resident, 1 / 5), "end": middle(resident, 1)},
    }


async def reloaded(daemon: Daemon) -> Reload:
    loop = asyncio.get_running_loop()
    began = loop.time()
    status, outcome = await reload(daemon)
    if status != 200:
        raise RuntimeError(f"not reloaded: {outcome}")
    return Reload(began, loop.time(), outcome["classifier"] == "loaded")


def spread(spans: Iterable[tuple[float, float]]) -> dict[str, float]:
    """Return count, median and 99th percentile in milliseconds."""
    lengths = [(end - start) * 1000 for start, end in spans]
    return {"count": len(lengths), "p50": round(quantile(lengths, 0.5), 2), "p99": round(quantile(lengths, 0.99), 2)}


def middle(sizes: list[float], share: float) -> float:
    """Return the median of the last five sizes up to this share, since memory varies with each loaded classifier."""
    end = round(share * len(sizes))
    return median(sizes[max(0, end - 5) : end])


def other_classifier(folder: Path) -> Path:
    """Copy the built-in classifier with another temperature, which classifies nearly the same."""
    shutil.copytree(BUILTIN, folder)
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"temperature": manifest["temperature"] * 1.01}))
    return folder


if __name__ == "__main__":
    main()

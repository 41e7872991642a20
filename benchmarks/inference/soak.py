"""The daemon saturated with prompts of every length: its resident memory over the time, and its event loop's lag."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from inference import metrics
from inference.load import closed_loop, rotated
from inference.prompts import make_prompts
from inference.servers import NO_DEADLINE_MS, pointsman
from inference.workplace import Workplace

MINUTES = 2.0
CONCURRENCY = 16
STEP_S = 3.0
PROMPTS = 2048


def measure(work: Workplace, share: float) -> dict[str, Any]:
    """MiB after every step of load, and the lag's quantiles as bounds in ms."""
    texts = make_prompts(work.tokenizer, "random", PROMPTS)
    steps: list[dict[str, float]] = []
    with pointsman(work, "soak", work.model("int8-token"), cache_entries=0, deadline_ms=NO_DEADLINE_MS) as server:
        requests = rotated([server.request(text) for text in texts], 0)
        ready = _resident_mib(server.pid)
        before = metrics.loop_lag(server)
        seconds = 0.0
        while seconds < MINUTES * 60 * share:
            window = closed_loop(server.port, requests, CONCURRENCY, STEP_S)
            seconds += window.seconds
            steps.append({"seconds": round(seconds, 1), "mib": _resident_mib(server.pid)} | window.summary())
            print(steps[-1], flush=True)
        lag = metrics.since(before, metrics.loop_lag(server))
    return {"ready_mib": ready, "steps": steps, "growth": growth(steps), "lag_ms": lag_ms(lag)}


def growth(steps: list[dict[str, float]]) -> float:
    """The last quarter's memory over the second one's; 1 is a flat line. The first quarter is for warming up."""
    quarter = max(1, len(steps) // 4)
    memory = [step["mib"] for step in steps]
    return round(statistics.median(memory[-quarter:]) / statistics.median(memory[quarter : 2 * quarter] or memory), 4)


def lag_ms(lag: metrics.Buckets) -> dict[str, float | None]:
    """Upper bounds of the buckets that hold the quantiles."""
    bounds = {f"p{share}": metrics.quantile_bound(lag, share / 100) for share in (50, 95, 99)}
    return {name: None if bound is None else round(bound * 1000, 3) for name, bound in bounds.items()}


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return round(next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) / 1024, 1)

"""Saturate the daemon with prompts of all lengths; record its resident memory and its event loop's delay."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.load import closed_loop, rotated
from inference.metrics import lag_p99_ms, loop_lag
from inference.prompts import make_prompts
from inference.servers import NO_DEADLINE_MS, pointsman
from inference.workplace import InferenceFolder

MINUTES = 2.0
CONCURRENCY = 16
STEP_SECONDS = 3.0
PROMPTS = 2048


def measure(work: InferenceFolder, share: float) -> dict[str, Any]:
    """Return `seconds` and `mib` after every step of load."""
    texts = make_prompts(work.tokenizer, "random", PROMPTS)
    seconds, mib = [0.0], []
    with pointsman(work, "soak", work.model("int8-token"), cache_entries=0, deadline_ms=NO_DEADLINE_MS) as server:
        requests = rotated([server.request(text) for text in texts], 0)
        mib.append(_resident_mib(server.pid))
        before = loop_lag(server.admin_port)
        while seconds[-1] < MINUTES * 60 * share:
            seconds.append(seconds[-1] + closed_loop(server.port, requests, CONCURRENCY, STEP_SECONDS).seconds)
            mib.append(_resident_mib(server.pid))
            print(f"{seconds[-1]:.0f} s: {mib[-1]} MiB", flush=True)
        return {
            "seconds": seconds,
            "mib": mib,
            "growth": growth(mib),
            "lag_p99_ms": lag_p99_ms(before, loop_lag(server.admin_port)),
        }


def growth(mib: Sequence[float]) -> float:
    """Return the ratio of the last quarter's memory to the second's; 1 means no growth. The first is warm-up."""
    quarter = max(1, len(mib) // 4)
    return statistics.median(mib[-quarter:]) / statistics.median(mib[quarter : 2 * quarter])


def _resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)

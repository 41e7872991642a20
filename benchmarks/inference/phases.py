"""Read from the daemon's log where the time of its requests went."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from datetime import UTC, datetime

PHASES = ("queue", "tokenize", "infer", "decide", "upstream")
REST = "rest"
"""The time outside all phases: reading and sending, and waking threads."""


def medians(lines: Iterable[str], begun: datetime, ended: datetime) -> dict[str, float]:
    """Return the median milliseconds of each phase of what was classified in between; empty if nothing was."""
    taken: dict[str, list[float]] = {phase: [] for phase in (*PHASES, REST)}
    for text in lines:
        line = json.loads(text) if text.startswith("{") else {}  # whatever else a library prints
        if "infer" not in line.get("ms", ()) or not begun <= datetime.fromisoformat(line["ts"]) <= ended:
            continue
        spent = [line["ms"].get(phase, 0.0) for phase in PHASES]
        for phase, ms in zip(taken, [*spent, line["ms"]["total"] - sum(spent)], strict=True):
            taken[phase].append(ms)
    return {phase: round(statistics.median(some), 3) for phase, some in taken.items() if some}


def now() -> datetime:
    """Return the time as the log writes it, with its milliseconds cut."""
    found = datetime.now(UTC)
    return found.replace(microsecond=found.microsecond // 1000 * 1000)

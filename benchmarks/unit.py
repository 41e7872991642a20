"""Measure `make unit`, the unit tests that run at every change: wall and CPU seconds of three runs.

Compiles what has changed before the first one. Writes benchmarks/results/unit.json.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import time

from provenance import provenance
from startup import RESULT, ROOT

from relay import cpu

COMMAND = ("make", "--no-print-directory", "unit")
RUNS = 3


def main() -> None:
    measure()
    runs = [measure() for _ in range(RUNS)]
    found = provenance() | {
        "runs": runs,
        "median": {key: statistics.median(run[key] for run in runs) for key in runs[0]},
    }
    RESULT.with_name("unit.json").write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found["median"], indent=2))


def measure() -> dict[str, float]:
    """Run the tests, of which none may fail; return their number, the seconds, and how busy the machine was before."""
    load = os.getloadavg()[0]
    started, spent = time.perf_counter(), cpu.of_children()
    done = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True, check=False)
    wall, spent = time.perf_counter() - started, cpu.of_children() - spent
    passed = re.search(r"^(\d+) passed", done.stdout, re.MULTILINE)
    if done.returncode or passed is None:
        raise SystemExit(done.stdout + done.stderr)
    return {"tests": int(passed[1]), "wall_s": round(wall, 1), "cpu_s": round(spent, 1), "load_before": round(load, 1)}


if __name__ == "__main__":
    main()

"""Run `make test`, then .ci/run twice in a row, and record the times of their parts, next to earlier runs.

Writes benchmarks/results/durations.json and .md after each run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

from markdown import publish, table
from provenance import processor, provenance
from startup import RESULT, ROOT

ENVIRONMENTS = (".venv-test", ".venv-vllm")
RUNS, MAX_KEPT_RUNS = 2, 4


def main() -> None:
    file = RESULT.with_name("durations.json")
    earlier = json.loads(file.read_bytes())["runs"] if file.exists() else []
    started = provenance()
    of = {"commit": started["commit"], "on": processor(started["machine"])}
    alone = timed("make", "test")
    new: list[dict[str, Any]] = []
    for _ in range(RUNS):
        new.append(of | run())
        result = started | {"make_test": alone, "runs": [*earlier, *new][-MAX_KEPT_RUNS:]}
        publish(file, result, rendered(result))
    sys.exit(any(one["code"] for one in [alone, *new]))


def run() -> dict[str, Any]:
    """Run all of it; what it needs may be here already."""
    there = all((ROOT / name).exists() for name in ENVIRONMENTS)
    timing = timed(str(ROOT / ".ci/run"))
    said = subprocess.run(
        [ROOT / ".ci/summary", ROOT / ".cache/ci", "--json"], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, Any] = json.loads(said)
    return timing | {"environments_there": there} | found


def timed(*command: str) -> dict[str, int]:
    """Run a command in the checkout; return its exit status as `code`, and the `seconds`."""
    own = {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # of this program, and of the `make` that runs it
    environment = {name: value for name, value in os.environ.items() if name not in own}
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    return {"code": code, "seconds": round(time.monotonic() - started)}


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    runs = result["runs"]
    heads = [f"run {number}" for number in range(1, len(runs) + 1)]

    rows = [
        ["commit", *(one["commit"] for one in runs)],
        ["on", *(one["on"] for one in runs)],
        ["all", *map(_seconds, runs)],
        ["environments", *("there" if one["environments_there"] else "installed" for one in runs)],
    ]
    for name in runs[0]["targets"]:
        found = [one["targets"][name] for one in runs]
        rows.append([f"`make {name}`", *(f"{one['seconds']:,}" for one in found)])
        rows.append(["of that, tests", *(f"{one['tests_s']:,.0f}" for one in found)])
    slowest = [[f"`{one['test']}`", f"{one['seconds']:.1f}", f"{one['cpu_s']:.1f}"] for one in runs[-1]["slowest"]]
    second = [line for one in runs for target in one["targets"].values() for line in target["notable"]]
    return [
        "# How long the tests take",
        "",
        "Seconds of `.ci/run` (`make durations`). The rest of a target is installation, and lint. Targets overlap.",
        "`make test` without coverage, which CI measures, and with its environments there takes",
        f"{_seconds(result['make_test'])} on {processor(result['machine'])}, commit {result['commit']}.",
        "",
        *table(["", *heads], rows),
        "",
        "The slowest tests of the last run:",
        "",
        *table(["test", "seconds", "CPU seconds"], slowest),
        "",
        *[f"- {line}" for line in second if line.startswith("SECOND TRY")],
    ]


def _seconds(run: dict[str, Any]) -> str:
    return f"{run['seconds']:,}{'' if run['code'] == 0 else ', failed'}"


if __name__ == "__main__":
    main()

"""Run .ci/run, twice in a row, then `make test` alone, and keep where the time went.

Writes benchmarks/results/durations.json and .md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

from markdown import table
from provenance import processor, provenance
from startup import RESULT, ROOT

ENVIRONMENTS = (".venv-test", ".venv-vllm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2)
    started = provenance()
    runs = [run() for _ in range(parser.parse_args().runs)]
    code, seconds = timed("make", "test")
    result = started | {"runs": runs, "make_test": {"code": code, "seconds": seconds}}
    RESULT.with_name("durations.json").write_text(json.dumps(result, indent=2) + "\n")
    page = "\n".join(rendered(result)) + "\n"
    RESULT.with_name("durations.md").write_text(page)
    print(page)
    sys.exit(code or any(one["code"] for one in runs))


def run() -> dict[str, Any]:
    """Run all of it; what it needs may be here already."""
    there = all((ROOT / name).exists() for name in ENVIRONMENTS)
    code, seconds = timed(str(ROOT / ".ci/run"))
    said = subprocess.run(
        [ROOT / ".ci/summary", ROOT / ".cache/ci", "--json"], check=True, capture_output=True, text=True
    ).stdout
    found: dict[str, Any] = json.loads(said)
    return {"code": code, "seconds": seconds, "environments_there": there} | found


def timed(*command: str) -> tuple[int, int]:
    """Run a command in the checkout; return its exit status, and the seconds."""
    own = {"PYTHONPATH", "MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # of this program, and of the `make` that runs it
    environment = {name: value for name, value in os.environ.items() if name not in own}
    started = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    return code, round(time.monotonic() - started)


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    runs = result["runs"]
    heads = [f"run {number}" for number in range(1, len(runs) + 1)]

    rows = [
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
        f"Seconds of `.ci/run` on {processor(result['machine'])}, commit {result['commit']} (`make durations`).",
        "The rest of a target is installation, and lint. What CI checks beside each other overlaps. Without coverage,",
        f"which CI measures, and with its environments there, `make test` takes {_seconds(result['make_test'])}.",
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

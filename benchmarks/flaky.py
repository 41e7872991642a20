"""Run the tests that use threads, clocks or sockets many times, without second tries, and name those that failed once.

These are the tests of the relay, and the unit tests of files that import what waits. Writes
benchmarks/results/flaky.json after each run; fails where a test did.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from provenance import provenance
from startup import RESULT, ROOT

RUNS = 20
KEPT = ROOT / ".cache" / "flaky.log"
"""What pytest said in the last run that failed."""
WORKERS = "4"
MODULES = ["asyncio", "concurrent", "multiprocessing", "queue", "signal", "socket", "subprocess", "threading", "time"]
WAITS = re.compile(rf"^(?:import|from) (?:{'|'.join(MODULES)})\b", re.MULTILINE)
CHOSEN = "not heavy and not thorough and not long and not nightly"


def main() -> None:
    result: dict[str, Any] = provenance() | {"files": files(), "runs": []}
    failed: Counter[str] = Counter()
    for number in range(1, RUNS + 1):
        one = run(result["files"])
        result["runs"].append(one)
        failed.update(one["failed"].keys())
        RESULT.with_name("flaky.json").write_text(json.dumps(result | {"failed": failed}, indent=2) + "\n")
        print(number, f"{one['tests']} tests, {one['seconds']} s", flush=True)
        for test, reason in one["failed"].items():
            print("   ", test, reason, flush=True)
    sys.exit(1 if failed else 0)


def files() -> list[str]:
    """Return the files of the tests."""
    found = [*ROOT.glob("tests/relay/test_*.py"), *(one for one in ROOT.glob("tests/unit/test_*.py") if waits(one))]
    return sorted(str(one.relative_to(ROOT)) for one in found)


def waits(path: Path) -> bool:
    """Return whether a file imports what waits."""
    return WAITS.search(path.read_text()) is not None


def run(tests: list[str]) -> dict[str, Any]:
    """Run these files once; return how many tests that were, the seconds, and why which failed."""
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "-n", WORKERS, "-p", "no:rerunfailures", "-m", CHOSEN]
    started = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["COLUMNS"] = "1000"  # pytest cuts a reason at the width
    done = subprocess.run([*command, *tests], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    seconds = round(time.monotonic() - started)
    passed = re.search(r"^.*\b(\d+) passed", done.stdout, re.MULTILINE)
    failed = dict(re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - (.*))?$", done.stdout, re.MULTILINE))
    if failed:
        KEPT.write_text(done.stdout)
    if passed is None or (done.returncode != 0) != bool(failed):
        raise SystemExit(done.stdout + done.stderr)
    return {"tests": int(passed[1]) + len(failed), "seconds": seconds, "failed": failed}


if __name__ == "__main__":
    main()

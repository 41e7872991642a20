"""What .ci/summary says of a run of .ci/run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.heavy  # processes
SUMMARY = Path(__file__).parents[2] / ".ci" / "summary"
PASSED = "===== 10 passed, 1 skipped in 3.25s =====\nSKIPPED [1] a.py: no GPU\nSECOND TRY a.py::test_b: boom\n"
FAILED = "===== 2 failed, 7 passed, 1 error in 1.00s =====\n"


def summary(folder: Path, *options: str, **logs: tuple[str, int]) -> subprocess.CompletedProcess[str]:
    """What it says of targets by their log and exit status."""
    for name, (log, code) in logs.items():
        (folder / f"{name}.log").write_text(log)
        (folder / f"{name}.end").write_text(f"60 {code}\n")
        line = {"test": f"{name}.py::test_slow", "seconds": 2.5, "cpu_s": 0.5}
        (folder / f"{name}.tests").write_text(json.dumps(line) + "\n")
    return subprocess.run([sys.executable, SUMMARY, folder, *options], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("log", "code", "last"),
    [
        (PASSED, 0, "10 passed, 0 failed, 1 skipped"),
        (FAILED, 2, "7 passed, 3 failed, 0 skipped"),
        (PASSED, 2, "10 passed, 1 failed, 1 skipped"),
        ("make: *** No rule to make target 'x'.\n", 2, "0 passed, 1 failed, 0 skipped"),
        (
            "ok Python 3.11, lowest-direct: 9 passed in 5.00s, 8 s\nNOT RUN: Python 3.14\n",
            0,
            "1 passed, 0 failed, 1 skipped",
        ),
        ("FAILED Python 3.14, highest: , 8 s\n", 1, "0 passed, 1 failed, 0 skipped"),
        ("ok install here, 90 s\n", 0, "1 passed, 0 failed, 0 skipped"),
    ],
)
def test_the_last_line_counts_everything_and_a_failure_fails(tmp_path: Path, log: str, code: int, last: str) -> None:
    """A target that fails without a failed test counts as one."""
    done = summary(tmp_path, target=(log, code))

    assert done.stdout.splitlines()[-1] == last
    assert done.returncode == (" 0 failed" not in last)


def test_it_says_where_the_time_went_and_what_is_worth_a_look(tmp_path: Path) -> None:
    said = summary(tmp_path, test=(PASSED + FAILED, 1)).stdout.splitlines()

    assert "make test: 60 s, of which 4 s for tests, FAILED" in said
    assert "   2.5    0.5 test.py::test_slow" in said
    assert {"SKIPPED [1] a.py: no GPU", "SECOND TRY a.py::test_b: boom"} <= set(said)


def test_programs_get_the_same_as_json(tmp_path: Path) -> None:
    found = json.loads(summary(tmp_path, "--json", test=(PASSED, 0)).stdout)

    assert (found["targets"]["test"]["seconds"], found["targets"]["test"]["tests_s"]) == (60, 3.25)
    assert [test["test"] for test in found["slowest"]] == ["test.py::test_slow"]

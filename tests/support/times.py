"""The times of a run's tests, and the failures before a second try; with TEST_TIMES=FILE one JSON line each there.

A line has `test`, `seconds` and `cpu_s`, which counts the processes that the test has waited for, and `first_failure`
if the first try failed. xdist's workers send reports to one process, which writes the file.
"""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

# Not for the workers, and not for a pytest that a test starts.
_FILE = os.environ.pop("TEST_TIMES", "")
CPU = "cpu_s"
"""The property of a report."""


class CpuMeter:
    """Tells the CPU time since it was asked before."""

    def __init__(self) -> None:
        self._before = _cpu_s()

    def passed(self) -> float:
        before, self._before = self._before, _cpu_s()
        return self._before - before


def _cpu_s() -> float:
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def lines_of(stats: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """A line for each test, from all reports of a run by their outcomes."""
    lines: dict[str, dict[str, Any]] = {}
    for outcome, reports in stats.items():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                line = lines.setdefault(report.nodeid, {"test": report.nodeid, "seconds": 0.0, "cpu_s": 0.0})
                line["seconds"] += report.duration
                line["cpu_s"] += dict(report.user_properties).get(CPU, 0.0)
                if outcome == "rerun":
                    line["first_failure"] = failure(report)
    return list(lines.values())


def failure(report: pytest.TestReport) -> str:
    """Return the failure, in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is None:
        return (str(report.longrepr).strip().splitlines() or [""])[-1]
    return f"{Path(crash.path).name}:{crash.lineno}: {' '.join(crash.message.split())[:200]}"


def append(lines: Iterable[Mapping[str, Any]]) -> None:
    """Append the lines to the file, if one is named."""
    if _FILE:
        with Path(_FILE).open("a") as out:
            out.writelines(json.dumps(line) + "\n" for line in lines)

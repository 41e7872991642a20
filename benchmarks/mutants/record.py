"""Record which of the tests TESTS run which lines: PYTHONPATH=benchmarks python -m mutants.record OUT TESTS...

In a copy of the checkout. The thorough tests are among them, unlike in `make unit`; the heavy ones take too long for
each mutant.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

from mutants.tree import SOURCES


class CoverageRecorder:
    """A plugin that lets coverage distinguish the tests."""

    def __init__(self, measured: coverage.Coverage) -> None:
        self._measured = measured
        self.seconds: dict[str, float] = {}
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        self._measured.switch_context(item.nodeid)
        before = sum(os.times()[:4])  # CPU time, of children too: a busy machine does not change it
        result = yield
        self.seconds[item.nodeid] = round(sum(os.times()[:4]) - before, 3)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)


def main(out: Path, tests: list[str]) -> None:
    measured = coverage.Coverage(data_file=None, source_pkgs=["pointsman", "pointsman_export"], config_file=False)
    recorder = CoverageRecorder(measured)
    measured.start()
    chosen = "not heavy and not long and not nightly"
    options = ["-q", "-m", chosen, "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    pytest.main([*tests, *options], plugins=[recorder])
    measured.stop()
    seconds = {name: spent for name, spent in recorder.seconds.items() if name not in recorder.failed}
    out.write_text(json.dumps({"seconds": seconds, "lines": lines(measured, seconds)}))


def lines(measured: coverage.Coverage, tests: dict[str, float]) -> dict[str, dict[str, list[int]]]:
    """The lines of each module that each test ran."""
    data = measured.get_data()
    found: dict[str, dict[str, list[int]]] = {}
    for path in data.measured_files():
        ran = defaultdict(list)
        for line, contexts in data.contexts_by_lineno(path).items():
            for context in set(contexts) & tests.keys():
                ran[context].append(line)
        found[_below_sources(Path(path))] = ran
    return found


def _below_sources(path: Path) -> str:
    folder, *parts = path.relative_to(Path.cwd()).parts
    assert folder in SOURCES
    return str(Path(*parts))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])

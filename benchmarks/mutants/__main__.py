"""Break the daemon in many small ways and see whether a test notices: PYTHONPATH=benchmarks python -m mutants WORK

Writes benchmarks/results/mutants.json and mutants.md. The unit tests are run on every mutant, then those that start a
daemon on the survivors that have no reason. It goes on from the results there are, of mutants that are still the same
and whose killer is still a test: --again tries those that survived anew, and --tests does so with some tests only, as
after adding to them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Any

from provenance import provenance

from mutants import report, tree
from mutants.choose import Mutant, choose, mutants
from mutants.report import reasons
from mutants.suite import UnitTests, daemon_tests
from mutants.worker import SURVIVED, MutantResult, Task, started

RESULT = tree.ROOT / "benchmarks" / "results" / "mutants.json"
SEED = 1
UNIT_TESTS = "tests/unit"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the copies of the checkout")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="mutants whose name matches this pattern")
    parser.add_argument("--unit", action="store_true", help="with the unit tests only")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    parser.add_argument("--tests", nargs="+", default=[UNIT_TESTS], help="--again, with these unit tests only")
    options = parser.parse_args()
    work: Path = options.work.absolute()
    sources = {file: (tree.ROOT / tree.PACKAGE / file).read_bytes() for file in tree.targets()}
    unit = prepared(work, options.workers, options.tests)
    some = options.tests != [UNIT_TESTS]
    run = MutantRun(sources, unit, choose(sources, options.count, SEED), only=options.only)
    if not some:
        run.forget_killers_that_are_gone()
    for daemon in (False,) if options.unit or some else (False, True):
        run.plan(daemon=daemon, again=options.again or some, new=not some)
        run.go(work, options.workers)
    report.main()
    known = {mutant.name for file, source in sources.items() for mutant in mutants(file, source)}
    for name in sorted(reasons().keys() - known):
        print(f"this has a reason, and is no mutant any more: {name}")


def prepared(work: Path, workers: int, tests: list[str]) -> UnitTests:
    """The copies, one a worker, and the record of these unit tests: made anew once the code has changed."""
    record = work / "record.json"
    stamp = work / "digest"
    now = " ".join([tree.digest(), str(workers), *tests])
    if not stamp.exists() or stamp.read_text() != now:
        work.mkdir(parents=True, exist_ok=True)
        first, *others = (work / f"tree-{number}" for number in range(workers))
        tree.copy(first)
        command = [sys.executable, "-m", "mutants.record", str(record), *tests]
        subprocess.run(command, cwd=first, env=tree.environment(first), check=True)
        for other in others:  # with what Python compiled meanwhile
            shutil.rmtree(other, ignore_errors=True)
            shutil.copytree(first, other)
        stamp.write_text(now)
    return UnitTests.read(json.loads(record.read_text()))


class MutantRun:
    """The mutants to try, and the results."""

    def __init__(self, sources: dict[str, bytes], unit: UnitTests, chosen: list[Mutant], *, only: str) -> None:
        """Keep what was found of the same mutants before; try those whose names match `only`."""
        self._sources = sources
        self._unit = unit
        self._daemon = False
        self._lock = threading.Lock()
        self._waiting: deque[Mutant] = deque()
        self._asked = [mutant for mutant in chosen if re.search(only, mutant.name)]
        self._commit = provenance()["commit"]
        earlier = json.loads(RESULT.read_text()) if RESULT.exists() else {"mutants": []}
        rows = {row["name"]: {"commit": earlier["commit"]} | row for row in earlier["mutants"]}
        self._found: dict[str, dict[str, Any]] = {
            mutant.name: rows[mutant.name] | {"line": mutant.edit.line}  # the lines above it may have changed
            for mutant in chosen
            if mutant.name in rows and rows[mutant.name]["diff"] == mutant.diff(sources[mutant.file])
        }

    def forget_killers_that_are_gone(self) -> None:
        """Keep nothing of a mutant whose killer is no unit test any more: whether another one notices is not known."""
        self._found = {
            name: row
            for name, row in self._found.items()
            if not row["by"].startswith(UNIT_TESTS) or row["by"] in self._unit.seconds
        }

    def plan(self, *, daemon: bool, again: bool, new: bool) -> None:
        """Queue what is `new` to the unit tests, or the survivors that the `daemon` tests have not tried.

        A survivor that has a reason is not tried again.
        """
        self._daemon = daemon
        excused = reasons()
        self._waiting = deque()
        for mutant in self._asked:
            row = self._found.get(mutant.name, {})
            unexplained = row.get("outcome") == SURVIVED and mutant.name not in excused
            if (unexplained and (not row["daemon"] if daemon else again)) or (new and not row and not daemon):
                self._waiting.append(mutant)
        kind = "that start a daemon" if daemon else "in tests/unit"
        print(f"{len(self._asked)} mutants, {len(self._waiting)} to try with the tests {kind}", flush=True)

    def go(self, work: Path, workers: int) -> None:
        threads = [threading.Thread(target=self._work, args=(work, number)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, work: Path, number: int) -> None:
        copy = work / f"tree-{number}"
        with started(copy, work / f"scratch-{number}") as attempt:
            if self._waiting and not self._daemon:
                control = attempt(self._control())
                if control.outcome != SURVIVED:
                    raise RuntimeError(f"{control.by} fails without a mutant too")
            while mutant := self._next():
                task = self._task(mutant)
                self._note(mutant, task, attempt(task))

    def _next(self) -> Mutant | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _task(self, mutant: Mutant) -> Task:
        source = mutant.edit.apply(self._sources[mutant.file]).decode()
        unit = {} if self._daemon else self._limits(self._unit.of(mutant))
        daemon = daemon_tests(mutant) if self._daemon else []
        return Task(mutant.name, str(tree.PACKAGE / mutant.file), source, unit, daemon)

    def _control(self) -> Task:
        """All unit tests on the code as it is."""
        file, source = next(iter(self._sources.items()))
        return Task("none", str(tree.PACKAGE / file), source.decode(), self._limits(self._unit.all), [])

    def _limits(self, tests: list[str]) -> dict[str, int]:
        return {test: 30 + round(20 * self._unit.seconds[test]) for test in tests}

    def _note(self, mutant: Mutant, task: Task, result: MutantResult) -> None:
        with self._lock:
            self._found[mutant.name] = {
                "name": mutant.name,
                "file": mutant.file,
                "line": mutant.edit.line,
                "operator": mutant.edit.operator,
                "diff": mutant.diff(self._sources[mutant.file]),
                "outcome": result.outcome,
                "by": result.by,
                "daemon": self._daemon,
                "seconds": result.seconds,
                "commit": self._commit,
            }
            print(f"{len(self._waiting):4} {result.outcome:8} {result.seconds:6.1f} s  {mutant.name}", flush=True)
            self._write()

    def _write(self) -> None:
        rows = sorted(self._found.values(), key=lambda row: (row["file"], row["line"], row["name"]))
        written = RESULT.with_suffix(".part")
        written.write_text(json.dumps(provenance() | {"seed": SEED, "mutants": rows}, indent=1) + "\n")
        written.replace(RESULT)


if __name__ == "__main__":
    main()

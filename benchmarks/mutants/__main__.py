"""Break the daemon in many small ways and see whether a test notices: PYTHONPATH=benchmarks python -m mutants WORK

Writes benchmarks/results/mutants.json and mutants.md. It goes on where an earlier run was stopped; --again tries those
that survived anew, as after new tests.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any

from provenance import provenance

from mutants import report, tree
from mutants.choose import Mutant, choose
from mutants.suite import UnitTests, daemon_tests
from mutants.worker import SURVIVED, Result, Task

RESULT = tree.ROOT / "benchmarks" / "results" / "mutants.json"
SEED = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the copies of the checkout")
    parser.add_argument("--count", type=int, default=690)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", default="", help="mutants whose name contains this")
    parser.add_argument("--unit", action="store_true", help="with the unit tests only")
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    options = parser.parse_args()
    work: Path = options.work.absolute()
    sources = {file: (tree.ROOT / tree.PACKAGE / file).read_bytes() for file in tree.targets()}
    run = Run(sources, prepared(work, options.workers), unit_only=options.unit)
    run.recall(choose(sources, options.count, SEED), only=options.only, again=options.again)
    run.go(work, options.workers)
    report.main()


def prepared(work: Path, workers: int) -> UnitTests:
    """The copies, one a worker, and the record of the unit tests: made anew once the code has changed."""
    record = work / "record.json"
    stamp = work / "digest"
    now = f"{tree.digest()} {workers}"
    if not stamp.exists() or stamp.read_text() != now:
        work.mkdir(parents=True, exist_ok=True)
        first, *others = (work / f"tree-{number}" for number in range(workers))
        tree.copy(first)
        command = [sys.executable, "-m", "mutants.record", str(record)]
        subprocess.run(command, cwd=first, env=environment(first), check=True)
        for other in others:  # with what Python compiled meanwhile
            shutil.rmtree(other, ignore_errors=True)
            shutil.copytree(first, other)
        stamp.write_text(now)
    return UnitTests.read(json.loads(record.read_text()))


def environment(copy: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": tree.search_path(copy)}


class Run:
    """What is still to try, and what was found."""

    def __init__(self, sources: dict[str, bytes], unit: UnitTests, *, unit_only: bool) -> None:
        self._sources = sources
        self._unit = unit
        self._unit_only = unit_only
        self._lock = threading.Lock()
        self._waiting: deque[Mutant] = deque()
        self._found: dict[str, dict[str, Any]] = {}

    def recall(self, chosen: list[Mutant], *, only: str, again: bool) -> None:
        """Keep what was found of the same mutants before, and queue the others whose names contain `only`."""
        earlier = json.loads(RESULT.read_text())["mutants"] if RESULT.exists() else []
        names = {mutant.name for mutant in chosen}
        self._found = {row["name"]: row for row in earlier if row["name"] in names}
        asked = [mutant for mutant in chosen if only in mutant.name]
        self._waiting = deque(mutant for mutant in asked if not self._is_known(mutant, again=again))
        print(f"{len(asked)} mutants, {len(self._waiting)} to try", flush=True)

    def _is_known(self, mutant: Mutant, *, again: bool) -> bool:
        row = self._found.get(mutant.name)
        if row is None or row["diff"] != mutant.diff(self._sources[mutant.file]):
            return False
        if row["outcome"] != SURVIVED:
            return True
        return not again and (self._unit_only or row["daemon"])

    def go(self, work: Path, workers: int) -> None:
        threads = [threading.Thread(target=self._work, args=(work, number)) for number in range(workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, work: Path, number: int) -> None:
        copy = work / f"tree-{number}"
        with subprocess.Popen(
            [sys.executable, "-m", "mutants.worker", str(work / f"scratch-{number}")],
            cwd=copy,
            env=environment(copy),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as worker:
            assert worker.stdin
            assert worker.stdout
            while mutant := self._next():
                task = self._task(mutant)
                print(json.dumps(asdict(task)), file=worker.stdin, flush=True)
                self._note(mutant, task, Result(**json.loads(worker.stdout.readline())))

    def _next(self) -> Mutant | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _task(self, mutant: Mutant) -> Task:
        source = mutant.edit.apply(self._sources[mutant.file]).decode()
        unit = {test: 20 + round(10 * self._unit.seconds[test]) for test in self._unit.of(mutant)}
        return Task(
            mutant.name,
            str(tree.PACKAGE / mutant.file),
            source,
            unit,
            [] if self._unit_only else daemon_tests(mutant),
        )

    def _note(self, mutant: Mutant, task: Task, result: Result) -> None:
        with self._lock:
            self._found[mutant.name] = {
                "name": mutant.name,
                "file": mutant.file,
                "line": mutant.edit.line,
                "operator": mutant.edit.operator,
                "diff": mutant.diff(self._sources[mutant.file]),
                "outcome": result.outcome,
                "by": result.by,
                "unit_tests": len(task.unit),
                "daemon": bool(task.daemon),
                "seconds": result.seconds,
            }
            print(f"{len(self._waiting):4} {result.outcome:8} {result.seconds:6.1f} s  {mutant.name}", flush=True)
            rows = sorted(self._found.values(), key=lambda row: (row["file"], row["line"], row["name"]))
            written = RESULT.with_suffix(".part")
            written.write_text(json.dumps(provenance() | {"seed": SEED, "mutants": rows}, indent=1) + "\n")
            written.replace(RESULT)


if __name__ == "__main__":
    main()

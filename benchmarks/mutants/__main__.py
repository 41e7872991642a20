"""Break the code in many small ways and see whether a test notices: PYTHONPATH=benchmarks python -m mutants WORK

Writes benchmarks/results/mutants.json and mutants.md, at a clean commit, which draws the mutants. The tests in RECORDED
that run a mutant's lines are run on it, then others on the survivors that have no reason. It goes on from the results
there are of the same commit; --again tries the survivors of an earlier one anew, as after adding tests. --only tries
all that match, and prints the survivors instead.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import threading
from collections import defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from provenance import provenance

from mutants import report, tree
from mutants.choose import Mutant, choose, mutants
from mutants.report import reasons
from mutants.suite import UnitTests, other_tests
from mutants.worker import SURVIVED, MutantResult, Task, started

RESULT = tree.ROOT / "benchmarks" / "results" / "mutants.json"
RECORDED = ("tests/unit", "tests/export", "tests/fit")
CONTROL_SECONDS = 1800.0
Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for the copies of the checkout")
    parser.add_argument("--count", type=int, default=40, help="how many of a package")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--again", action="store_true", help="try those that survived once more")
    parser.add_argument("--only", default="", help="all mutants whose name matches this pattern")
    options = parser.parse_args()
    work: Path = options.work.absolute()
    head = provenance()
    if head["commit"].endswith("-dirty") and not options.only:
        raise SystemExit("commit first: the result names a commit at which it can be had again")
    earlier: Row = {"commit": "", "seed": "", "mutants": []}
    if RESULT.exists() and not options.only:
        earlier = json.loads(RESULT.read_text())
    seed = earlier["seed"] if options.again else head["commit"]
    sources = {name: (tree.ROOT / path).read_bytes() for name, path in tree.targets().items()}
    if options.only:
        every = [mutant for file, source in sources.items() for mutant in mutants(file, source)]
        chosen = [mutant for mutant in every if re.search(options.only, mutant.name)]
    else:
        chosen = choose(sources, options.count, seed)
    kept = {row["name"]: row for row in earlier["mutants"] if earlier["seed"] == seed}
    run = MutantRun(sources, prepared(work, options.workers), chosen, kept)
    for others in (False, True):
        run.plan(others=others, again=options.again)
        run.go(work, options.workers, None if options.only else head | {"seed": seed})
    if options.only:
        print(*run.survivors(), sep="\n")
        return
    report.main()
    known = {mutant.name for file, source in sources.items() for mutant in mutants(file, source)}
    for name in sorted(reasons().keys() - known):
        print(f"this has a reason, and is no mutant any more: {name}")


def prepared(work: Path, workers: int) -> UnitTests:
    """The copies, one a worker, and the record of the unit tests: made anew once the code has changed."""
    record = work / "record.json"
    stamp = work / "digest"
    now = f"{tree.digest()} {workers}"
    if not stamp.exists() or stamp.read_text() != now:
        work.mkdir(parents=True, exist_ok=True)
        copies = [work / f"tree-{number}" for number in range(workers)]
        for copy in copies:
            tree.copy(copy)
        paths = [path for folder in RECORDED for path in (tree.ROOT / folder).glob("test_*.py")]
        files = sorted(str(path.relative_to(tree.ROOT)) for path in paths)
        with ThreadPoolExecutor() as pool:
            parts = [*pool.map(recorded, copies, (files[at::workers] for at in range(workers)))]
        record.write_text(json.dumps(merged(parts)))
        stamp.write_text(now)
    return UnitTests.read(json.loads(record.read_text()))


def recorded(copy: Path, tests: list[str]) -> Row:
    out = copy.with_suffix(".json")
    command = [sys.executable, "-m", "mutants.record", str(out), *tests]
    subprocess.run(command, cwd=copy, env=tree.environment(copy), check=True)
    return json.loads(out.read_text())  # type: ignore[no-any-return]


def merged(parts: list[Row]) -> Row:
    """Return the records of different tests as one."""
    lines: dict[str, Row] = defaultdict(dict)
    for part in parts:
        for file, tests in part["lines"].items():
            lines[file] |= tests
    return {"seconds": {test: spent for part in parts for test, spent in part["seconds"].items()}, "lines": lines}


class MutantRun:
    """The mutants to try, and the results."""

    def __init__(self, sources: dict[str, bytes], unit: UnitTests, chosen: list[Mutant], known: dict[str, Row]) -> None:
        """Keep what is known of the same mutants."""
        self._sources = sources
        self._paths = tree.targets()
        self._unit = unit
        self._others = False
        self._lock = threading.Lock()
        self._waiting: deque[Mutant] = deque()
        self._chosen = chosen
        self._found: dict[str, Row] = {
            mutant.name: known[mutant.name] | {"line": mutant.edit.line}  # the lines above it may have changed
            for mutant in chosen
            if mutant.name in known and known[mutant.name]["diff"] == mutant.diff(sources[mutant.file])
        }

    def plan(self, *, others: bool, again: bool) -> None:
        """Queue what is new to the unit tests, or the survivors that the `others` have not tried.

        A survivor that has a reason is not tried again.
        """
        self._others = others
        excused = reasons()
        self._waiting = deque()
        for mutant in self._chosen:
            row = self._found.get(mutant.name, {})
            unexplained = row.get("outcome") == SURVIVED and mutant.name not in excused
            if (unexplained and (not row["others"] if others else again)) or not (row or others):
                self._waiting.append(mutant)
        kind = "that were not recorded" if others else f"in {', '.join(RECORDED)}"
        print(f"{len(self._chosen)} mutants, {len(self._waiting)} to try with the tests {kind}", flush=True)

    def survivors(self) -> list[str]:
        """Return a line and a diff for each."""
        return [f"{row['name']}\n{row['diff']}" for row in self._found.values() if row["outcome"] == SURVIVED]

    def go(self, work: Path, workers: int, head: Row | None) -> None:
        """Try what is queued; with a `head`, write the result after each."""
        checked = threading.Barrier(workers)
        threads = [
            threading.Thread(target=self._work, args=(work, number, workers, checked, head))
            for number in range(workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, work: Path, number: int, workers: int, checked: threading.Barrier, head: Row | None) -> None:
        copy = work / f"tree-{number}"
        with started(copy, work / f"scratch-{number}") as attempt:
            while self._waiting and not self._others and (failed := attempt(self._control(number, workers)).by):
                if failed not in self._unit.seconds:  # such as an import: leaving it out would change nothing
                    checked.abort()
                    raise RuntimeError(f"{failed} fails without a mutant, too")
                print(f"{failed} fails without a mutant, too, and is left out", flush=True)
                with self._lock:
                    self._unit = self._unit.without(failed)
            checked.wait()
            while mutant := self._next():
                task = self._task(mutant)
                self._note(mutant, attempt(task), head)

    def _next(self) -> Mutant | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _task(self, mutant: Mutant) -> Task:
        source = mutant.edit.apply(self._sources[mutant.file]).decode()
        unit = {} if self._others else self._limits(self._unit.of(mutant))
        others = other_tests(mutant) if self._others else []
        return Task(mutant.name, str(self._paths[mutant.file]), source, unit, others)

    def _control(self, number: int, workers: int) -> Task:
        """A worker's share of the unit tests, on the code as it is."""
        file, source = next(iter(self._sources.items()))
        unit = self._limits(self._unit.all[number::workers])
        return Task("none", str(self._paths[file]), source.decode(), unit, [], unit_run_s=CONTROL_SECONDS)

    def _limits(self, tests: list[str]) -> dict[str, int]:
        return {test: 30 + round(20 * self._unit.seconds[test]) for test in tests}

    def _note(self, mutant: Mutant, result: MutantResult, head: Row | None) -> None:
        with self._lock:
            self._found[mutant.name] = {
                "name": mutant.name,
                "file": mutant.file,
                "line": mutant.edit.line,
                "operator": mutant.edit.operator,
                "diff": mutant.diff(self._sources[mutant.file]),
                "outcome": result.outcome,
                "by": result.by,
                "others": self._others,
                "seconds": result.seconds,
            }
            print(f"{len(self._waiting):4} {result.outcome:8} {result.seconds:6.1f} s  {mutant.name}", flush=True)
            if head:
                self._write(head)

    def _write(self, head: Row) -> None:
        rows = sorted(self._found.values(), key=lambda row: (row["file"], row["line"], row["name"]))
        written = RESULT.with_suffix(".part")
        written.write_text(json.dumps(head | {"mutants": rows}, indent=1) + "\n")
        written.replace(RESULT)


if __name__ == "__main__":
    main()

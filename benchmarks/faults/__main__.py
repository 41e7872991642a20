"""Plant faults that somebody could make, and see that the tests of `.ci/run` find each: python -m faults WORK

With PYTHONPATH=benchmarks:tests. Writes benchmarks/results/faults.json and faults.md, and fails where a fault is not
found. It goes on from the results there are of the same commit.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from markdown import table
from mutants import tree
from mutants.worker import FAILED, SURVIVED, MutantResult, Task, started
from provenance import provenance

from faults.planted import CLASSES, PlantedFault, faults, unmatched

RESULT = tree.ROOT / "benchmarks" / "results" / "faults.json"
# For a Debian that is made and boots.
TEST_SECONDS = 900
RUN_SECONDS = 3600.0
Row = dict[str, Any]
Try = Callable[[Task], MutantResult]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for a copy of the checkout")
    parser.add_argument("--seed", type=int, default=1, help="of the order")
    parser.add_argument("--count", type=int, help="try so many of them")
    parser.add_argument("--only", default="", help="faults whose class and name match this pattern, as in 'leak: '")
    options = parser.parse_args()
    work: Path = options.work.absolute()
    every = faults()
    chosen = random.Random(options.seed).sample(every, len(every))
    chosen = [one for one in chosen if re.search(options.only, f"{one.kind}: {one.name}")][: options.count]
    head = provenance() | {"seed": options.seed}
    rows = known(head, every)
    left = [one for one in chosen if one.name not in rows]
    print(f"{len(chosen)} faults, {len(left)} to try", flush=True)
    if left:
        tree.copy(work / "tree")
        require_in_ci(work / "tree", left)
        with started(work / "tree", work / "scratch", CI="true") as attempt:
            require_passing(attempt, left)
            for one in left:
                rows[one.name] = row = tried(attempt, one)
                print(f"{row['seconds']:6.1f} s  {row['by'] or 'NOT FOUND':80}  {one.kind}: {one.name}", flush=True)
                write(head, [rows[each.name] for each in every if each.name in rows])
    return int(any(not rows[one.name]["by"] for one in chosen))


def known(head: Row, every: list[PlantedFault]) -> dict[str, Row]:
    """Return the rows of an earlier run at the same commit, by the name of the fault."""
    earlier: Row = json.loads(RESULT.read_text()) if RESULT.exists() else {"commit": "", "faults": []}
    if earlier["commit"] != head["commit"] or head["commit"].endswith("-dirty"):
        return {}
    names = {one.name for one in every}
    return {row["name"]: row for row in earlier["faults"] if row["name"] in names}


def tests_of(some: Iterable[PlantedFault]) -> list[str]:
    return sorted({test for one in some for test in one.tests})


def require_in_ci(copy: Path, left: list[PlantedFault]) -> None:
    """End where one of the named tests does not exist, or runs only at night."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "not nightly", *tests_of(left)]
    done = subprocess.run(command, cwd=copy, env=tree.environment(copy), capture_output=True, text=True, check=False)
    if done.returncode or (missing := unmatched(tests_of(left), done.stdout.splitlines())):
        raise SystemExit(f"no tests that .ci/run runs: {done.stdout[-2000:] if done.returncode else missing}")


def require_passing(attempt: Try, left: list[PlantedFault]) -> None:
    """End where one of the named tests fails without a fault."""
    source = (tree.ROOT / left[0].file).read_text("utf-8")
    result = attempt(Task("none", left[0].file, source, {}, tests_of(left), TEST_SECONDS, RUN_SECONDS))
    if result.outcome != SURVIVED:
        raise SystemExit(f"{result.by} fails without a fault, too")
    print(f"{result.seconds:6.1f} s  the tests pass without a fault", flush=True)


def tried(attempt: Try, one: PlantedFault) -> Row:
    source = one.planted((tree.ROOT / one.file).read_text("utf-8"))
    result = attempt(Task(one.name, one.file, source, {}, one.tests, TEST_SECONDS, RUN_SECONDS))
    hangs = " (which hangs)" if result.outcome not in (FAILED, SURVIVED) else ""
    return {
        "name": one.name,
        "class": one.kind,
        "file": one.file,
        "by": result.by + hangs,
        "seconds": result.seconds,
    }


def write(head: Row, rows: list[Row]) -> None:
    RESULT.write_text(json.dumps(head | {"faults": rows}, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(page(head, rows)) + "\n")


def page(head: Row, rows: list[Row]) -> list[str]:
    counts = []
    for kind in CLASSES:
        mine = [row for row in rows if row["class"] == kind]
        counts.append((kind, str(len(mine)), str(sum(bool(row["by"]) for row in mine))))
    return [
        "# Faults",
        "",
        "Faults that somebody could make, each planted in a copy of the checkout, and the first of the tests of",
        "`.ci/run` that failed, without a second try: `make faults`. All tests passed without a fault.",
        f"Commit {head['commit']}, Python {head['python']}, in an order of seed {head['seed']}.",
        "",
        *table(("class", "faults", "found"), counts),
        "",
        "| class | fault | found by |",
        "| --- | --- | --- |",
        *(f"| {row['class']} | {row['name']} | {shown(row['by'])} |" for row in rows),
    ]


def shown(by: str) -> str:
    return f"`{by}`".replace("|", "\\|") if by else "**nothing**"


if __name__ == "__main__":
    sys.exit(main())

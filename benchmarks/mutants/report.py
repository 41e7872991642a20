"""Renders benchmarks/results/mutants.md from mutants.json and the reasons."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from markdown import table

from mutants.choose import package_of
from mutants.worker import FAILED, SURVIVED, TIMEOUT

RESULTS = Path(__file__).parents[1] / "results"
REASONS = Path(__file__).with_name("reasons.yaml")
Row = dict[str, Any]


def main() -> None:
    result = json.loads((RESULTS / "mutants.json").read_text())
    (RESULTS / "mutants.md").write_text("\n".join(page(result, reasons())) + "\n")


def reasons() -> dict[str, str]:
    """Return the reasons why a mutant needs no test, by its name."""
    return yaml.safe_load(REASONS.read_text()) or {}


def page(result: Row, excused: dict[str, str]) -> list[str]:
    rows = result["mutants"]
    survivors = [row for row in rows if row["outcome"] == SURVIVED and (row["others"] or row["name"] in excused)]
    return [
        "# Mutants",
        "",
        "Small mistakes made on purpose, each in a copy of the code, and whether a test noticed: `make mutants`.",
        f"Up to 40 of each package, drawn by the commit {result['seed']}. Python {result['python']}, commit",
        f"{result['commit']}.",
        "",
        *table(
            ("package", "mutants", "recorded", "others", "too slow", "survived", "no reason", "untried", "killed"),
            counts(rows, excused),
        ),
        "",
        "Killed: of those that can be, as a survivor with a reason changes nothing that a user or an operator can see.",
        "Wanted: 95 % of all, 90 % of each package. Recorded: tests of which the lines that they run are known.",
        "Untried: on these the others are still to be tried.",
        "",
        *(line for row in survivors for line in section(row, excused.get(row["name"], "No test notices it yet."))),
    ]


def counts(rows: list[Row], excused: dict[str, str]) -> Iterator[list[str]]:
    packages = sorted({package_of(row["file"]) for row in rows})
    for name in packages:
        yield line(name, [row for row in rows if package_of(row["file"]) == name], excused)
    yield line("all", rows, excused)


def line(name: str, rows: list[Row], excused: dict[str, str]) -> list[str]:
    failed = [row for row in rows if row["outcome"] == FAILED]
    slow = sum(row["outcome"] == TIMEOUT for row in rows)
    by_recorded = sum(not row["others"] for row in failed)
    survived = [row for row in rows if row["outcome"] == SURVIVED]
    unexplained = [row for row in survived if row["name"] not in excused]
    untried = sum(not row["others"] for row in unexplained)
    killed = len(failed) + slow
    rate = f"{100 * killed / (killed + len(unexplained)):.1f} %" if rows else "-"
    counted = len(rows), by_recorded, len(failed) - by_recorded, slow, len(survived), len(unexplained), untried
    return [name, *map(str, counted), rate]


def section(row: Row, reason: str) -> list[str]:
    return [f"`{row['file']}:{row['line']}` {reason}", "", "```diff", *row["diff"].splitlines(), "```", ""]

"""Renders benchmarks/results/mutants.md from mutants.json and the reasons."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import yaml
from markdown import table

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
    survivors = [row for row in rows if row["outcome"] == SURVIVED]
    return [
        "# Mutants",
        "",
        "Small mistakes made on purpose, each in a copy of the code, and whether a test noticed: `make mutants`.",
        f"Python {result['python']}, seed {result['seed']}; tried at {tried_at(rows, result['commit'])}.",
        "",
        *table(
            ("package", "mutants", "unit tests", "with a daemon", "too slow", "survived", "without a reason", "killed"),
            counts(rows, excused),
        ),
        "",
        "Killed: of those that can be, as a survivor with a reason changes nothing that a user or an operator can see.",
        "",
        *(line for row in survivors for line in section(row, excused.get(row["name"], "No test notices it yet."))),
    ]


def tried_at(rows: list[Row], otherwise: str) -> str:
    """Say how many mutants were tried at which commit: what has not changed is not tried again."""
    commits = Counter(row.get("commit", otherwise) for row in rows)
    return ", ".join(f"{commit} ({number})" for commit, number in commits.most_common())


def counts(rows: list[Row], excused: dict[str, str]) -> Iterator[list[str]]:
    packages = sorted({PurePath(row["file"]).parts[0] for row in rows})
    for name in (*packages, ""):
        yield line(name or "all", [row for row in rows if row["file"].startswith(name)], excused)


def line(name: str, rows: list[Row], excused: dict[str, str]) -> list[str]:
    failed = [row for row in rows if row["outcome"] == FAILED]
    slow = sum(row["outcome"] == TIMEOUT for row in rows)
    by_unit = sum(row["by"].startswith(("tests/unit", "import in tests/unit")) for row in failed)
    survived = [row["name"] for row in rows if row["outcome"] == SURVIVED]
    open_ = sum(one not in excused for one in survived)
    killed = len(failed) + slow
    rate = f"{100 * killed / (killed + open_):.1f} %" if rows else "-"
    return [name, *map(str, (len(rows), by_unit, len(failed) - by_unit, slow, len(survived), open_)), rate]


def section(row: Row, reason: str) -> list[str]:
    return [f"`{row['file']}:{row['line']}` {reason}", "", "```diff", *row["diff"].splitlines(), "```", ""]

"""Render the tables of a report as Markdown, and write it beside its result."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from target import PerformanceTarget

UNKNOWN = "Not found out."


def publish(file: Path, result: Mapping[str, Any], lines: Iterable[str]) -> None:
    """Write a result as JSON to `file`, and its report beside it; print the report."""
    file.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    page = "\n".join(lines) + "\n"
    file.with_suffix(".md").write_text(page)
    print(page)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose first column is text and whose other columns are figures."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]


def judged(targets: Iterable[PerformanceTarget]) -> list[str]:
    """Return the lines of a table of targets."""
    return ["| target | measured | wanted | |", "| --- | --- | --- | --- |", *(target.row() for target in targets)]


def unmet(targets: Iterable[PerformanceTarget], reasons: Mapping[str, str]) -> list[str]:
    """Return a line for each reason why targets were measured and not met; none if all are met.

    `reasons` are by how the name of a target begins; the first that fits counts.
    """
    by_reason: dict[str, list[str]] = {}
    for one in targets:
        if not (one.met or math.isnan(one.measured) or math.isnan(one.wanted)):
            reason = next((reason for begin, reason in reasons.items() if one.what.startswith(begin)), UNKNOWN)
            by_reason.setdefault(reason, []).append(one.what)
    return [f"- {'; '.join(what)}: {reason}" for reason, what in by_reason.items()]

"""Render the tables of a report as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from target import Target


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose first column is text and whose other columns are figures."""
    marks = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]


def judged(targets: Iterable[Target]) -> list[str]:
    """Return the lines of a table of targets."""
    return ["| target | measured | wanted | |", "| --- | --- | --- | --- |", *(target.row() for target in targets)]

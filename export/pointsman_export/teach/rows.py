"""Read and write taught rows: a file that a person can read and edit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from pointsman.improve.taught_file import TaughtRow, taught_file
from pointsman_export.common.errors import FitDataError

MAX_ROWS = 20_000
MAX_CHARACTERS = 20_000


def read_rows(path: Path) -> list[TaughtRow]:
    """Return the rows of a file; raises FitDataError with the lines that are none."""
    try:
        lines = taught_file(path).read()
    except OSError as error:
        raise FitDataError(f"{path}: cannot be read ({error.strerror}); check path and permissions") from error
    if bad := [number for number, row in enumerate(lines, 1) if row is None or not row.text.strip()]:
        raise FitDataError(
            f'{path}:{bad[0]}: is no {{"text": "...", "label": "a category, or null"}}; correct or remove the line'
            + (f", and {len(bad) - 1:,} others" if len(bad) > 1 else "")
        )
    rows = [row for row in lines if row is not None]
    if not rows or len(rows) > MAX_ROWS:
        raise FitDataError(f"{path}: has {len(rows):,} rows; 1 to {MAX_ROWS:,} can be taught")
    return [msgspec.structs.replace(row, text=row.text[:MAX_CHARACTERS]) for row in rows]


def merged(path: Path, fresh: Sequence[TaughtRow], *, stored: bool) -> list[TaughtRow]:
    """Return fresh rows with the rest of a file: of stored texts, or of those that a model wrote.

    Rows of people stay in either case. Raises FitDataError.
    """
    before = read_rows(path) if path.exists() else []
    texts = {row.text for row in fresh}
    rest = [row for row in before if row.text not in texts and (not row.by or bool(row.client) != stored)]
    return [*rest, *fresh]


def write_rows(path: Path, rows: Iterable[TaughtRow]) -> None:
    """Replace the file, readable by its owner only; raises OSError."""
    taught_file(path).replace(rows)

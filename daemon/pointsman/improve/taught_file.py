"""The rows that described categories are taught: a file of JSON lines that a person can read and edit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from pointsman.improve.texts_file import NO_CATEGORY
from pointsman.store.rotated_file import alone
from pointsman.store.rows_file import RowsFile

MAX_ROWS_BYTES = 64 << 20
LOCAL = "(local)"
"""The client of a text without one, which came through a Unix socket or to a release that did not store it."""


class TaughtRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """A prompt and its category, None for nobody's; `by` is the model that wrote or judged it, empty for a person.

    `client` is who sent it, if somebody did.
    """

    text: str
    label: str | None
    by: str = ""
    client: str = ""


def taught_file(path: Path) -> RowsFile[TaughtRow]:
    """Return the file, which need not exist."""
    return RowsFile(path, TaughtRow, MAX_ROWS_BYTES)


def suggestions(path: Path) -> dict[str, str]:
    """Return by text what a model said of stored texts: a category, or NO_CATEGORY; nothing if there is no file."""
    try:
        rows = taught_file(path).read()
    except OSError:
        return {}
    return {row.text: row.label or NO_CATEGORY for row in rows if row is not None and row.by and row.client}


def forget_taught(path: Path, gone: Callable[[TaughtRow], bool]) -> int:
    """Remove rows, and lines that are none, and return the number of rows; raises OSError."""
    if not path.exists():
        return 0
    with alone(path):
        rows = [row for row in taught_file(path).read() if row is not None]
        left = [row for row in rows if not gone(row)]
        if len(left) < len(rows):
            taught_file(path).replace(left)
    return len(rows) - len(left)

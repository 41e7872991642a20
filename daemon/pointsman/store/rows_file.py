"""Keep rows in a file of JSON lines, each written at once."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from pointsman import files
from pointsman.store import document

T = TypeVar("T")


class RowsFile(Generic[T]):
    """A file of JSON lines, readable by its owner only, of which at most `max_bytes` are read."""

    def __init__(self, path: Path, form: type[T], max_bytes: int) -> None:
        """Take a file, which need not exist; `form` is the type of its rows."""
        self.path = path
        self._form = form
        self._max_bytes = max_bytes

    def read(self) -> list[T | None]:
        """Return the rows; None for a line that is no row, such as one that a crash or a full disk cut off.

        Raises OSError.
        """
        return [decoded(line, self._form) for line in files.read(self.path, self._max_bytes).splitlines()]

    def append(self, rows: Iterable[T], *, sync: bool, max_rows: int | None = None) -> None:
        """Append rows on lines of their own; with `sync`, wait until they are on the disk.

        Raises OSError, also for a file that has `max_rows` already; without it, the lines are not counted.
        """
        files.make_folder(self.path.parent)
        with os.fdopen(open_to_append(self.path), "ab") as file:
            files.hand_over(self.path)
            file.writelines([self._line_end(max_rows), *map(encoded, rows)])
            file.flush()
            if sync:
                os.fsync(file.fileno())

    def replace(self, rows: Iterable[T]) -> None:
        """Write these rows in place of all others; raises OSError."""
        document.write(self.path, b"".join(map(encoded, rows)))

    def _line_end(self, max_rows: int | None) -> bytes:
        """Return what the last line needs to end; raises OSError for a file that is full."""
        with files.opened(self.path) as file:
            if max_rows is not None and (count := sum(1 for _ in file)) >= max_rows:
                why = f"it has {count:,} rows, and takes no more; begin another file"
                raise OSError(errno.EFBIG, why, str(self.path))
            file.seek(-1 if file.seek(0, os.SEEK_END) else 0, os.SEEK_END)
            return b"\n" if file.read(1) not in b"\n" else b""


def encoded(row: object) -> bytes:
    """Return a row as a line."""
    return msgspec.json.encode(row) + b"\n"


def decoded(line: bytes, form: type[T]) -> T | None:
    """Return the row in a line, or None."""
    try:
        return msgspec.json.decode(line, type=form)
    except document.UNREADABLE:
        return None


def open_to_append(path: Path) -> int:
    """Open a file to append lines to it, readable by its owner only; raises OSError."""
    file = files.open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC)
    try:
        os.fchmod(file, 0o600)  # an existing file may be readable by others
    except OSError:
        os.close(file)
        raise
    return file

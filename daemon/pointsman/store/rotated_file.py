"""Keep rows in a file of JSON lines that is rotated when full, with the full ones before as `FILE.1`, `FILE.2`, ...

A thread appends the rows, so that nobody waits for the disk.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from pointsman import files
from pointsman.errors import CannotStart
from pointsman.store.line_writer import LineWriter, Lost
from pointsman.store.rows_file import decoded, encoded, open_to_append

T = TypeVar("T")
MAX_OLDER_FILES = 100
# A slow disk must not delay the end of the service: what it has not taken by then is lost.
CLOSE_SECONDS = 1.0


class RotatedFile:
    """An open file, readable by its owner only, with a maximum size and a maximum number of older ones."""

    def __init__(
        self,
        path: Path,
        key: str,
        max_bytes: int,
        older: int,
        failing: Callable[[str], object],
        lost: Lost = lambda *_: b"",
        prepare: Callable[[bytes], bytes] = lambda data: data,
        written: Callable[[], object] = lambda: None,
    ) -> None:
        """Open the file, which the config names under `key`, or create it; raises CannotStart.

        The functions are those of `LineWriter`.
        """
        self.begun = 0
        """The number of rotations."""
        self._path = path
        self._max_bytes = max_bytes
        self._older = older
        try:
            _check_folder(path.parent)
            self._descriptor = open_to_append(path)
            """Constant while this file is open."""
        except OSError as error:
            why = f"{path} cannot be written ({error.strerror}); check path and permissions"
            raise CannotStart(f"{key}: {why}") from error
        self._writer = LineWriter(self._descriptor, key, lost, failing, self._make_room, prepare, written)

    def put(self, row: object) -> bool:
        """Append a row soon; return False if too much waits for the disk."""
        return self._writer.put(encoded(row))

    def close(self) -> None:
        """Write everything queued and close the file; waits for the disk, at most CLOSE_SECONDS."""
        if self._writer.close(CLOSE_SECONDS):
            os.close(self._descriptor)

    def is_current_file(self) -> bool:
        """Return whether the open file is still the one at its path; raises OSError."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def _make_room(self, size: int) -> None:
        """Begin another file if this one would be too large, or is no longer at its path; raises OSError."""
        with alone(self._path):
            if not self.is_current_file():
                self._begin()
            if os.fstat(self._descriptor).st_size + size > self._max_bytes:
                self._shift()
                self._begin()

    def _begin(self) -> None:
        begun = open_to_append(self._path)
        os.dup2(begun, self._descriptor, inheritable=False)
        os.close(begun)
        self.begun += 1

    def _shift(self) -> None:
        """Rename the file and those before it; remove those beyond the maximum, also of an earlier, larger one."""
        for number in range(max(1, self._older), MAX_OLDER_FILES + 1):
            numbered(self._path, number).unlink(missing_ok=True)
        names = [self._path, *(numbered(self._path, number + 1) for number in range(self._older))]
        for name, after in reversed(list(itertools.pairwise(names))):
            with contextlib.suppress(FileNotFoundError):
                name.replace(after)
        if not self._older:
            self._path.unlink(missing_ok=True)


def _check_folder(folder: Path) -> None:
    """Raise OSError for a folder in which no file can be renamed."""
    if folder.is_dir() and not os.access(folder, os.W_OK | os.R_OK):
        raise OSError(errno.EACCES, "its folder must be writable and readable, as a full file is renamed")


def numbered(path: Path, number: int) -> Path:
    """Return the path of an older file; 1 is the newest of them."""
    return path.with_name(f"{path.name}.{number}")


def parts(path: Path) -> list[Path]:
    """Return the existing files, the oldest first."""
    older = (numbered(path, number) for number in range(MAX_OLDER_FILES, 0, -1))
    return [one for one in (*older, path) if one.exists()]


def lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of all parts, the oldest first; raises OSError, FileNotFoundError if there is none."""
    found = parts(path)
    if not found:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    for one in found:
        # A file that was rotated meanwhile is read at its next name, or not at all.
        with contextlib.suppress(FileNotFoundError), files.opened(one) as file:
            yield from file


def rows(path: Path, form: type[T]) -> Iterator[T]:
    """Yield the rows of all parts, the oldest first, without lines that are none; raises OSError as `lines` does."""
    for line in lines(path):
        if (row := decoded(line, form)) is not None:
            yield row


def remove(path: Path, form: type[T], gone: Callable[[T], bool]) -> int:
    """Remove rows from all parts, and return their number; raises OSError.

    A part is replaced as a whole; a running service continues in the new one. An unreadable line is removed with the
    first row of its part: nobody can say what it contains.
    """
    with alone(path):
        return sum(_remove(one, form, gone) for one in parts(path))


def _remove(path: Path, form: type[T], gone: Callable[[T], bool]) -> int:
    with files.opened(path) as file:
        removed = sum(1 for line in file if (row := decoded(line, form)) is not None and gone(row))
        if removed:
            file.seek(0)
            left = (line for line in file if (row := decoded(line, form)) is not None and not gone(row))
            found = os.fstat(file.fileno())
            owner = None if os.geteuid() != 0 else (found.st_uid, found.st_gid)
            files.write(path, left, replace=True, owner=owner)
    return removed


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes and threads from renaming or replacing the files meanwhile; raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)

"""Append lines to a file that is rotated when full, with the full ones before as `FILE.1`, `FILE.2`, ..."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from pointsman import files
from pointsman.store.line_writer import open_lines

MAX_OLDER_FILES = 100


class RotatedFile:
    """An open file, readable by its owner only, with a maximum size and a maximum number of older ones."""

    def __init__(self, path: Path, max_bytes: int, older: int) -> None:
        """Open the file or create it; raises OSError."""
        self.descriptor = open_lines(path)
        """Constant while this file is open."""
        self.begun = 0
        """The number of rotations."""
        self._path = path
        self._max_bytes = max_bytes
        self._older = older
        if not os.access(path.parent, os.W_OK | os.R_OK):
            self.close()
            raise OSError(errno.EACCES, "its folder must be writable and readable, as a full file is renamed")

    def make_room(self, size: int) -> None:
        """Begin another file if this one would be too large, or is no longer at its path; raises OSError."""
        with alone(self._path):
            if not self.is_current_file():
                self._begin()
            if os.fstat(self.descriptor).st_size + size > self._max_bytes:
                self._shift()
                self._begin()

    def close(self) -> None:
        os.close(self.descriptor)

    def is_current_file(self) -> bool:
        """Return whether the open file is still the one at its path; raises OSError."""
        try:
            return os.path.samestat(self._path.stat(), os.fstat(self.descriptor))
        except FileNotFoundError:
            return False

    def _begin(self) -> None:
        begun = open_lines(self._path)
        os.dup2(begun, self.descriptor, inheritable=False)
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


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep other processes and threads from renaming or replacing the files meanwhile; raises OSError."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)

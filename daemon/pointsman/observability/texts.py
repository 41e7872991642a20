"""Write classified texts to a file, if the operator enables it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import msgspec

from pointsman.errors import CannotStart
from pointsman.lru import Lru

# Hashes of texts already in the file, at most 15 MB in memory; a text whose hash was evicted may be written twice.
KEPT_TEXTS = 100_000


class KeptTexts:
    """The file of classified texts: JSON lines `{"hash", "text"}`, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        """Open the file or create it; raises CannotStart."""
        try:
            self._file = _open(path)
        except OSError as error:
            raise CannotStart(
                f"pointsman.log.texts_file: {path} cannot be written ({error.strerror}); check path and permissions"
            ) from error
        self._kept: Lru[str, bool] = Lru(KEPT_TEXTS)

    def keep(self, text_hash: str, text: str) -> None:
        """Append a text unless its hash is known; raises OSError."""
        if self._kept.get(text_hash) is None:
            os.write(self._file, msgspec.json.encode({"hash": text_hash, "text": text}) + b"\n")
            self._kept.put(text_hash, True)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _open(path: Path) -> int:
    """Open a regular file to append to it; raises OSError."""
    # Without O_NONBLOCK, opening a pipe would wait for its reader.
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    try:
        _check(file)
        os.fchmod(file, 0o600)  # an existing file may be readable by others
    except OSError:
        os.close(file)
        raise
    return file


def _check(file: int) -> None:
    """Raise OSError for a pipe or a device, whose reader could make the event loop wait."""
    if not stat.S_ISREG(os.fstat(file).st_mode):
        raise OSError(errno.EINVAL, "not a regular file")

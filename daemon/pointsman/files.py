"""Files that an operator names, read within bounds: a pipe, a device or a huge file is refused and not read."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def _open(path: str, flags: int) -> int:
    """Open without waiting for the writer of a pipe."""
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):  # a folder is refused by `open` itself
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", path)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file; raises OSError, whose `strerror` says what else is there."""
    with open(path, "rb", opener=_open) as file:
        yield file


def read(path: Path, most_bytes: int) -> bytes:
    """Return what a regular file holds; raises OSError, also where that is more than `most_bytes`."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most_bytes + 1) if size <= most_bytes else b""
    if max(size, len(content)) > most_bytes:  # it may have grown
        raise OSError(errno.EFBIG, f"it is larger than {most_bytes:,} bytes", str(path))
    return content


def write(path: Path, content: bytes, *, replace: bool) -> None:
    """Write a file whole or not at all; one that is replaced keeps its mode.

    Raises OSError: FileExistsError where a file is there and is not to be replaced.
    """
    mode = stat.S_IMODE(path.stat().st_mode) if replace and path.exists() else 0o644  # the service has its own user
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if replace:
            Path(temporary).replace(path)
        else:
            os.link(temporary, path)
    finally:  # a Ctrl-C, too, must leave nothing behind
        Path(temporary).unlink(missing_ok=True)

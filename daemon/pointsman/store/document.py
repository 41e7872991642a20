"""Keep one JSON value in a file that is replaced as a whole."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TypeVar

import msgspec

from pointsman import files

T = TypeVar("T")
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def read(path: Path, form: type[T], max_bytes: int) -> T:
    """Return the value in a file; raises OSError, whose `strerror` names the cause, also for another form."""
    content = files.read(path, max_bytes)
    try:
        return msgspec.json.decode(content, type=form)
    except UNREADABLE as error:
        raise OSError(errno.EINVAL, str(error), str(path)) from error


def write(path: Path, content: bytes) -> None:
    """Replace a file and create its folder, both the state directory's owner's; only that owner reads the file.

    Raises OSError.
    """
    files.make_folder(path.parent)
    files.write(path, content, replace=True, mode=0o600, owner=files.folders_owner(path))

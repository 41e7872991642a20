"""Build an artifact in a hidden folder next to its destination, then rename it, so that it is complete or absent."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pointsman.classify.artifact import MANIFEST
from pointsman_export.common.errors import DestinationError


def check(folder: Path, *, force: bool) -> None:
    """Raise DestinationError if `folder` exists and may not be replaced."""
    if not os.path.lexists(folder):
        return
    if not force:
        raise DestinationError(f"{folder}: exists already; name another folder, or replace it with --force")
    if folder.is_symlink() or not (folder / MANIFEST).is_file():
        raise DestinationError(
            f"{folder}: holds no {MANIFEST}, and --force replaces nothing but an artifact; name another folder"
        )


@contextmanager
def workspace(folder: Path) -> Iterator[Path]:
    """Yield an empty folder next to `folder`, on its file system, and remove it afterwards; raises DestinationError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise DestinationError(
            f"{folder.parent}: cannot be written ({error.strerror}); name a folder where you may write"
        ) from error
    try:
        yield work
    finally:
        shutil.rmtree(work)


def publish(built: Path, folder: Path, *, force: bool) -> None:
    """Flush `built`, a folder in the workspace, to disk and rename it to `folder`; raises DestinationError."""
    built.chmod(0o755)
    for path in built.iterdir():
        _sync(path)
    _sync(built)
    check(folder, force=force)  # checked again, since an export takes minutes
    replaced = built.with_name("replaced")
    if folder.is_dir():
        folder.rename(replaced)
    try:
        built.rename(folder)
    except BaseException:  # Ctrl-C must not lose the replaced artifact either
        if replaced.is_dir():
            replaced.rename(folder)
        raise
    _sync(folder.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Where the artifact goes: built in a hidden folder beside it, then renamed, so that it is whole or not there."""

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
    """Raises DestinationError where something is in the way that may not be replaced."""
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
    """An empty folder beside `folder`, on its file system, gone afterwards; raises DestinationError."""
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
    """Bring `built`, a folder in the workspace, to the disk and give it the name `folder`; raises DestinationError."""
    built.chmod(0o755)
    for path in built.iterdir():
        _sync(path)
    _sync(built)
    check(folder, force=force)  # again: an export takes minutes
    replaced = built.with_name("replaced")
    if folder.is_dir():
        folder.rename(replaced)
    try:
        built.rename(folder)
    except BaseException:  # a Ctrl-C, too, must not lose the artifact that was there
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

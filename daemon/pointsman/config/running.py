"""The address of the running service's admin port: told by the service, for commands with the same config file.

The config file may name another address, if that waits for a restart, or if another config is served. The service locks
the file while it runs, so that the file of a killed service does not count.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pointsman import files

NAME = "admin.json"
MAX_RUNNING_BYTES = 16 * 2**10


class _RunningService(msgspec.Struct, frozen=True):
    config: str
    """The config file, with symbolic links followed."""
    admin: str


@contextlib.contextmanager
def published(folder: Path | None, config: Path, admin: str) -> Iterator[None]:
    """Publish the address while the block runs; raises OSError if it cannot be written."""
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    begun = folder / f".{NAME}.{os.getpid()}"
    handle = os.open(begun, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(handle, msgspec.json.encode(_RunningService(str(config.resolve()), admin)))
        begun.replace(path)
        yield
    finally:
        _remove(path, handle)
        begun.unlink(missing_ok=True)
        os.close(handle)


def _remove(path: Path, handle: int) -> None:
    """Remove the file, unless another process has written its own."""
    with contextlib.suppress(OSError):
        if os.path.samestat(path.stat(), os.fstat(handle)):
            path.unlink()


def admin_of(config: Path) -> str | None:
    """Return the address that a running service with this config file has published, or None."""
    for folder in (files.service_runtime(), files.service_state()):
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            found = _running(folder / NAME)
            if found is not None and found.config == str(config.resolve()):
                return found.admin
    return None


def _running(path: Path) -> _RunningService | None:
    """Return the content of a running service's file, or None; raises OSError or MsgspecError."""
    with files.opened(path) as file:
        return (
            msgspec.json.decode(file.read(MAX_RUNNING_BYTES), type=_RunningService)
            if _is_locked(file.fileno())
            else None
        )


def _is_locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False

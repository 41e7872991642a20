"""Read and write files: reads are bounded, and refuse pipes and devices; writes are atomic."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path


def open_regular(path: str | Path, flags: int, mode: int = 0o600) -> int:
    """Open without blocking on a pipe that has no writer; raises OSError for anything but a file or folder."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, mode)
    found = os.fstat(descriptor).st_mode
    if stat.S_ISREG(found) or stat.S_ISDIR(found):  # `open` itself refuses a folder
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))


@contextlib.contextmanager
def opened(path: Path, *, follow: bool = True) -> Iterator[BufferedReader]:
    """Open a regular file, but no link to one without `follow`; raises OSError, whose `strerror` names the cause."""
    if "\0" in str(path):
        raise OSError(errno.EINVAL, "its path has a NUL character", str(path))
    more = 0 if follow else os.O_NOFOLLOW
    with open(path, "rb", opener=lambda name, flags: open_regular(name, flags | more)) as file:
        yield file


def read(path: Path, max_bytes: int, *, follow: bool = True) -> bytes:
    """Return the content of a regular file; raises OSError, also for a file larger than `max_bytes`."""
    with opened(path, follow=follow) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(max_bytes + 1) if size <= max_bytes else b""
    if max(size, len(content)) > max_bytes:  # the file may have grown since `fstat`
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(path))
    return content


def state_directory() -> Path | None:
    """Return the folder for data that must outlive the process, systemd's `StateDirectory=`; None without one."""
    return _given_folder("STATE_DIRECTORY")


def runtime_directory() -> Path | None:
    """Return the folder for data that ends with the process, systemd's `RuntimeDirectory=`; None without one."""
    return _given_folder("RUNTIME_DIRECTORY")


def _given_folder(variable: str) -> Path | None:
    given = os.environ.get(variable)
    return Path(given.split(":")[0]) if given else None  # systemd lists all of them; the service has only one


def service_state() -> Path:
    """Return the state directory of the installed service, for a command that systemd does not start."""
    return state_directory() or Path("/var/lib/pointsman")


def service_runtime() -> Path:
    """Return the runtime directory of the installed service, for a command that systemd does not start."""
    return runtime_directory() or Path("/run/pointsman")


def make_folder(path: Path) -> None:
    """Create a folder and those above it that are missing; raises OSError."""
    for one in reversed([one for one in (path, *path.parents) if not one.exists()]):
        one.mkdir(exist_ok=True)
        hand_over(one)


def folders_owner(path: Path) -> tuple[int, int] | None:
    """Return the user and group who are to own a file: in the state directory, the service's; None if not root."""
    if os.geteuid() != 0:
        return None
    found = path.parent.stat()
    return found.st_uid, found.st_gid


def hand_over(path: Path) -> None:
    """Give a file made by root to the owner of its folder; raises OSError."""
    owner, found = folders_owner(path), path.stat()
    if owner not in (None, (found.st_uid, found.st_gid)):
        os.chown(path, *owner)


def hand_over_folder(path: Path) -> None:
    """Give a folder and its content likewise; follows no link that the new owner may put there. Raises OSError."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        for _, _, names, folder in os.fwalk(path, topdown=False):
            for name in names:
                os.chown(name, owner.st_uid, owner.st_gid, dir_fd=folder, follow_symlinks=False)
            os.fchown(folder, owner.st_uid, owner.st_gid)  # last: until then nobody else adds a name


def write(
    path: Path,
    content: bytes | Iterable[bytes],
    *,
    replace: bool,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
) -> None:
    """Write a file atomically, readable by the service's user; a replaced file keeps its mode.

    `owner` is a user and a group, by default those of this process; others need root. Raises OSError: FileExistsError
    if the file exists and `replace` is false.
    """
    if replace and path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            if owner is not None:
                os.fchown(file.fileno(), *owner)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        if replace:
            Path(temporary).replace(path)
        else:
            os.link(temporary, path)
    finally:  # also on Ctrl-C
        Path(temporary).unlink(missing_ok=True)

"""Make the Unix socket of a listener, with the permissions that decide who may connect."""

from __future__ import annotations

import errno
import grp
import os
import socket
from pathlib import Path
from typing import NamedTuple

from pointsman.errors import CannotStart


class SocketAccess(NamedTuple):
    """The permissions of a socket file: its mode, and its group if that is not the process's own."""

    mode: int
    group: str | None = None


EVERYONE_OF_THE_GROUP = SocketAccess(0o660)


def bound(path: str, access: SocketAccess) -> socket.socket:
    """Return a socket bound to `path`; raises OSError, or CannotStart if the group cannot be given."""
    _remove_stale(Path(path))
    made = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(made.fileno(), 0o600)  # nobody else connects before the socket has its group
        made.bind(path)
        if access.group is not None:
            _give(path, access.group)
        Path(path).chmod(access.mode)
    except BaseException:  # nothing else would close it
        made.close()
        raise
    return made


def _give(path: str, group: str) -> None:
    try:
        os.chown(path, -1, grp.getgrnam(group).gr_gid)
    except (KeyError, PermissionError) as error:
        Path(path).unlink()
        why = "there is no such group" if isinstance(error, KeyError) else "this user is not a member of it"
        raise CannotStart(
            f"pointsman.server.unix_socket_group: {path} cannot have the group {group} ({why}); "
            "add the service's user to it (SupplementaryGroups= in its unit), or name another group"
        ) from error


def _remove_stale(path: Path) -> None:
    """Remove the socket file of a process that was killed; raises OSError if a process listens."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))

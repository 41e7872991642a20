"""The default address of the admin port: a Unix socket under systemd, else a loopback address."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pointsman.config.address import Unix, listen
from pointsman.config.loops import is_local
from pointsman.config.server import DEFAULT_ADMIN, DEFAULT_PORT, ServerOptions

SOCKET_NAME = "admin.sock"
# The RuntimeDirectory= of the installed unit.
INSTALLED_SOCKET = Path("/run/pointsman", SOCKET_NAME)


def with_admin_address(server: ServerOptions, folder: Path | None) -> ServerOptions:
    """Return the options with the admin port's addresses; `folder` is systemd's `RuntimeDirectory=`, if any."""
    if server.admin_listen is not None:
        return server
    if folder is None:
        address = _without_systemd(server)
        status = None if server.status_listen == address else server.status_listen
        return replace(server, admin_listen=address, status_listen=status)
    socket = f"unix:{folder / SOCKET_NAME}"
    return replace(server, admin_listen=socket, status_listen=server.status_listen or DEFAULT_ADMIN)


def running_at(server: ServerOptions) -> str:
    """Return the address at which a command finds the admin port of the service that runs with these options."""
    if server.admin_listen is not None:
        return server.admin_listen
    return f"unix:{INSTALLED_SOCKET}" if _is_there(INSTALLED_SOCKET) else _without_systemd(server)


def _without_systemd(server: ServerOptions) -> str:
    """Return the default: one address for everything, unless other hosts can reach it."""
    if server.status_listen is None:
        return DEFAULT_ADMIN
    where = listen(server.status_listen)
    if isinstance(where, Unix) or is_local(server.status_listen):
        return server.status_listen
    return DEFAULT_ADMIN if where.port != DEFAULT_PORT else f"127.0.0.1:{DEFAULT_PORT + 1}"


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:
        return True  # connecting will report it
    except OSError:
        return False
    return True

"""Exchange sockets and state with systemd: sd_listen_fds(3), sd_notify(3), sd_watchdog_enabled(3)."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field

_STDERR_FD = 2
_FIRST_FD = 3  # SD_LISTEN_FDS_START
_LISTEN = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_WATCHDOG = ("WATCHDOG_PID", "WATCHDOG_USEC")
_NOTIFY = "NOTIFY_SOCKET"


class Notifier:
    """A sender of states to the notification socket at `address`; does nothing without one. Errors are ignored."""

    def __init__(self, address: str | None) -> None:
        self._address = f"\0{address[1:]}" if address and address.startswith("@") else address

    def send(self, *states: str) -> None:
        """Send one message of `KEY=value` lines."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(states).encode(), self._address)

    def ready(self, status: str) -> None:
        """Report that start-up or a reload has finished."""
        self.send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """Report that a reload has begun; sd_notify(3) requires the time."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self, status: str) -> None:
        self.send("STOPPING=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Set the line that `systemctl status` shows."""
        self.send(f"STATUS={status}")

    def alive(self) -> None:
        """Feed the watchdog."""
        self.send("WATCHDOG=1")


@dataclass(frozen=True, slots=True)
class Systemd:
    """The environment passed by systemd; empty if the process was not started by it."""

    notify: Notifier = field(default_factory=lambda: Notifier(None))
    watchdog_s: float | None = None
    """Watchdog timeout in seconds, or None."""
    listeners: tuple[tuple[str, socket.socket], ...] = ()
    """Listening sockets with their names (`FileDescriptorName=`)."""
    journal: bool = False
    """True if stderr is connected to the journal."""


def take(environment: MutableMapping[str, str]) -> Systemd:
    """Read systemd's variables and remove them from `environment`, so that no child process uses them."""
    values = {name: environment.pop(name, "") for name in (*_LISTEN, *_WATCHDOG, _NOTIFY)}
    own = str(os.getpid())
    listeners: list[tuple[str, socket.socket]] = []
    if values["LISTEN_PID"] == own and values["LISTEN_FDS"].isdecimal():
        names = values["LISTEN_FDNAMES"].split(":")
        for number in range(int(values["LISTEN_FDS"])):
            os.set_inheritable(_FIRST_FD + number, False)
            name = names[number] if number < len(names) else ""
            listeners.append((name, socket.socket(fileno=_FIRST_FD + number)))
    watched = values["WATCHDOG_PID"] in {"", own} and values["WATCHDOG_USEC"].isdecimal()
    return Systemd(
        Notifier(values[_NOTIFY] or None),
        int(values["WATCHDOG_USEC"]) / 1e6 if watched else None,
        tuple(listeners),
        _is_journal(environment.get("JOURNAL_STREAM", "")),
    )


def _is_journal(stream: str) -> bool:
    """Return whether stderr is `stream`, `DEVICE:INODE` as in systemd.exec(5); a shell may have redirected it."""
    try:
        found = os.fstat(_STDERR_FD)
    except OSError:
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"

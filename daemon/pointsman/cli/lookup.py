"""Resolve host names, all concurrently and within a time limit."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable


def unresolved(hosts: Iterable[str], seconds: float) -> dict[str, str]:
    """Return the hosts that do not resolve within this time, each with the reason."""
    failed = dict.fromkeys(hosts, f"no answer within {seconds:g} s")
    # A lookup cannot be canceled; a daemon thread does not block the exit.
    threads = [threading.Thread(target=_look_up, args=(host, failed), daemon=True) for host in failed]
    until = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return failed.copy()


def _look_up(host: str, failed: dict[str, str]) -> None:
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        failed[host] = error.strerror or str(error)
    except UnicodeError:
        failed[host] = "not a valid host name"
    else:
        del failed[host]

"""Child processes that never outlive the test that started them, and ports that stay free until they bind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE_SECONDS = 30.0
"""For what must come and is not judged by its time: more than a busy machine ever takes."""

# Reads until the other end of its input is closed, by us or by our death, and then kills the group.
_GUARD = 'read -r _; kill -s KILL -- "-$1"'


def reserve_port() -> int:
    """A free TCP port of 127.0.0.1 that no one else is given for the next minute."""
    with socket.socket() as server, socket.socket() as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        client.connect(server.getsockname())
        accepted, _ = server.accept()
        # The end that closes first keeps the port in TIME_WAIT: the kernel no longer hands it out, while a
        # server that sets SO_REUSEADDR, as asyncio does, can bind it all the same.
        accepted.close()
        port: int = server.getsockname()[1]
        return port


def kill_group(group: int) -> None:
    """SIGKILL to what is left of a process group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


@contextlib.contextmanager
def no_survivors(group: int) -> Iterator[None]:
    """Kill the process group at the end of the block, and also when this process dies before that."""
    guard = subprocess.Popen(
        ["sh", "-c", _GUARD, "sh", str(group)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        guard.kill()
        guard.communicate()
        kill_group(group)


def log_tail(path: Path, lines: int = 40) -> str:
    """The end of a log file, to put into an error."""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


async def eventually(holds: Callable[[], bool], what: str, *, timeout_s: float = PATIENCE_SECONDS) -> float:
    """Poll until `holds()`; the seconds that it took. Fails with `what` after `timeout_s`."""
    start = time.monotonic()
    while not await asyncio.to_thread(holds):
        if time.monotonic() - start > timeout_s:
            raise AssertionError(f"not within {timeout_s:g} s: {what}")
        await asyncio.sleep(0.01)
    return time.monotonic() - start


def shadow_processes() -> set[int]:
    """The processes of classifiers in shadow, and of candidates, that this process has."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"pointsman.classify.shadow" in command:
            found.add(int(entry.name))
    return found

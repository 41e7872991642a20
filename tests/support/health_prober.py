"""Ask a daemon for `/health` without a pause until stdin closes, in a process of its own; print each delay in ms.

`python -m support.health_prober HOST PORT [REQUEST]` writes one JSON list at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import select
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

PAUSE_SECONDS = 0.002
HEALTH = "GET /health HTTP/1.1\r\nHost: health\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


def main() -> None:
    delays: list[float] = []
    request = (sys.argv[3:] or [HEALTH])[0].encode()
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as connection:
        while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
            started = time.perf_counter()
            connection.sendall(request)
            if not answered(connection):
                break
            delays.append(round((time.perf_counter() - started) * 1000, 3))
            if len(delays) == 1:
                print("begun", flush=True)
    print(json.dumps(delays))


def answered(connection: socket.socket) -> bool:
    """Read one answer, whose length its head tells."""
    got = b""
    while data := connection.recv(65536):
        got += data
        head, end, body = got.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if end and length is not None and len(body) >= int(length[1]):
            return True
    return False


@contextlib.asynccontextmanager
async def probing(url: str, request: bytes = HEALTH.encode()) -> AsyncIterator[list[float]]:
    """Probe for as long as the block lasts; the delays are in the list after it."""
    host, _, port = url.removeprefix("http://").partition(":")
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "support.health_prober", host, port, request.decode(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    assert process.stdout is not None
    await process.stdout.readline()
    delays: list[float] = []
    try:
        yield delays
    finally:
        said, _ = await process.communicate(b"")
        delays += json.loads(said)


if __name__ == "__main__":
    main()

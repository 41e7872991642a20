"""Large answers and who reads them, in processes of their own, so that a test's event loop neither sends nor reads.

`python -m support.large_answers serve PORT` is an upstream. It has so many requests that name `n` wait until that many
are there, answers each with SIZE bytes, and `GET /sent` with how many the sockets have taken. `... read PORT COUNT`
asks for so many answers at once, reads them, and prints how many were whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

from support.raw_client import chat, post

SIZE = 20_000_000
MODEL = "large"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_MODELS = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model", "parent": None}]}).encode()
_BODY = memoryview(b" " * SIZE)


def asking(at_once: int) -> bytes:
    """A request that is answered once this many have come."""
    return post(chat(model=MODEL, n=at_once), "Connection: close")


class _Upstream(socketserver.StreamRequestHandler):
    barriers: ClassVar[dict[int, threading.Barrier]] = {}
    sent: ClassVar[dict[object, int]] = {}

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            while line := self.rfile.readline():
                length = 0
                while (field := self.rfile.readline().lower()) != b"\r\n":
                    if field.startswith(b"content-length:"):
                        length = int(field.partition(b":")[2])
                asked = self.rfile.read(length)
                if line.startswith(b"POST "):
                    self.barriers.setdefault(n := json.loads(asked)["n"], threading.Barrier(n)).wait()
                    self.request.sendall(_HEAD % SIZE)
                    at = 0
                    while at < SIZE:
                        self.sent[self] = at = at + self.request.send(_BODY[at : at + 2**22])
                else:
                    sent = b"%d" % sum(list(self.sent.values()))
                    small = sent if line.startswith(b"GET /sent ") else _MODELS
                    self.request.sendall(_HEAD % len(small) + small)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 1024


def serve(port: int) -> None:
    with _Server(("127.0.0.1", port), _Upstream) as server:
        print("begun", flush=True)
        server.serve_forever()


def read(port: int, count: int) -> None:
    whole: list[int] = []

    def ask() -> None:
        buffer = bytearray(2**18)
        got = 0
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(asking(count))
            while size := connection.recv_into(buffer):
                got += size
        if got > SIZE:
            whole.append(got)

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(len(whole))


async def _started(*arguments: object) -> asyncio.subprocess.Process:
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "support.large_answers", *map(str, arguments),
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip


@contextlib.asynccontextmanager
async def serving(port: int) -> AsyncIterator[None]:
    """The upstream, for as long as the block lasts."""
    process = await _started("serve", port)
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        yield
    finally:
        process.kill()
        await process.communicate()


async def read_at_once(port: int, count: int) -> int:
    """Request this many answers at once at `port`; return the number that arrived complete."""
    process = await _started("read", port, count)
    said, _ = await process.communicate()
    return int(said)


if __name__ == "__main__":
    (serve if sys.argv[1] == "serve" else read)(*map(int, sys.argv[2:]))

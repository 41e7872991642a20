"""Generate HTTP load in closed and open loops, from one process that uses little CPU."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import random
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvloop
from target import quantile

PATIENCE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One response; `outcome` is the daemon's `x-pointsman-reason`, or else the status (0: no response in time)."""

    seconds: float
    status: int
    outcome: str


@dataclass(frozen=True, slots=True)
class LoadWindow:
    """The responses from the first request until the last response."""

    replies: list[Reply]
    seconds: float

    def only(self, wanted: Callable[[Reply], bool]) -> LoadWindow:
        return LoadWindow([reply for reply in self.replies if wanted(reply)], self.seconds)

    def summary(self) -> dict[str, float]:
        """Return throughput and latency of the successful responses; `failed` counts the others."""
        answered = [reply.seconds for reply in self.replies if reply.status == 200]
        return {
            "answered": len(answered),
            "failed": len(self.replies) - len(answered),
            "per_second": round(len(answered) / self.seconds, 3),
            **{f"p{share}_ms": round(quantile(answered, share / 100) * 1000, 3) for share in (50, 95, 99)},
        }


def post(path: str, body: Any) -> bytes:
    """Return a whole request as sent over the wire."""
    payload = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def get(port: int, path: str) -> str:
    """Return the body; raises OSError if there is none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        body: bytes = response.read()
    return body.decode()


def rotated(requests: Sequence[bytes], start: int) -> Iterator[bytes]:
    """Yield the requests in a cycle that begins at `start`."""
    return itertools.islice(itertools.cycle(requests), start % len(requests), None)


def closed_loop(port: int, requests: Iterator[bytes], concurrency: int, seconds: float) -> LoadWindow:
    """Run `concurrency` clients, each with one request in flight, for `seconds` or until `requests` ends."""
    replies: list[Reply] = []

    async def client(ends: float) -> None:
        connection = await _LoadConnection.open(port)
        for request in requests:
            if (sent := time.perf_counter()) > ends:
                break
            status, outcome = await connection.exchange(request)
            replies.append(Reply(time.perf_counter() - sent, status, outcome))
        connection.close()

    async def load() -> None:
        ends = time.perf_counter() + seconds
        await asyncio.gather(*(client(ends) for _ in range(concurrency)))

    return LoadWindow(replies, _run(load()))


def open_loop(port: int, requests: Iterator[bytes], rate: float, seconds: float) -> LoadWindow:
    """Send Poisson arrivals at `rate` per second regardless of the server; clients give up after PATIENCE_SECONDS."""
    replies: list[Reply] = []
    idle: list[_LoadConnection] = []
    arrivals = random.Random(0)

    async def client(request: bytes, due: float) -> None:
        status, outcome, connection = 0, "no answer", None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                connection = idle.pop() if idle else await _LoadConnection.open(port)
                status, outcome = await connection.exchange(request)
            idle.append(connection)
        except (OSError, EOFError):
            if connection is not None:
                connection.close()
        # measured from the due time, so that a late client hides no waiting
        replies.append(Reply(time.perf_counter() - due, status, outcome))

    async def load() -> None:
        due = time.perf_counter()
        ends = due + seconds
        async with asyncio.TaskGroup() as clients:
            while (due := due + arrivals.expovariate(rate)) < ends:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                clients.create_task(client(next(requests), due))
        for connection in idle:
            connection.close()

    return LoadWindow(replies, _run(load()))


def _run(load: Coroutine[Any, Any, None]) -> float:
    """Return the duration in seconds, without garbage collection."""
    gc.collect()
    gc.disable()
    try:
        started = time.perf_counter()
        uvloop.run(load)
        return time.perf_counter() - started
    finally:
        gc.enable()


class _LoadConnection:
    """An HTTP/1.1 keep-alive connection for responses with a Content-Length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> _LoadConnection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def exchange(self, request: bytes) -> tuple[int, str]:
        """Return status and outcome."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        await self._reader.readexactly(int(_header(head, b"content-length")))
        status = int(head[9:12])
        return status, _header(head, b"x-pointsman-reason").decode() or f"status {status}"

    def close(self) -> None:
        self._writer.close()


def _header(head: bytes, name: bytes) -> bytes:
    _, _, after = head.partition(b"\r\n" + name + b": ")
    return after.partition(b"\r\n")[0]

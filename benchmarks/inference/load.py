"""HTTP load: closed loops and open loops, from one process that costs little beside what it measures."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
import math
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import uvloop


@dataclass(frozen=True, slots=True)
class Reply:
    """`sent` is in seconds since the window began: when it was due, so that a late client hides no wait.

    `status` is 0 for what was not answered in time or at all; `reason` is the daemon's `x-pointsman-reason`.
    """

    sent: float
    seconds: float
    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Window:
    """What came back, from the first request until the last answer."""

    replies: list[Reply]
    seconds: float

    def summary(self) -> dict[str, float]:
        """Throughput and latency of what was answered well; `failed` counts the rest."""
        answered = [reply.seconds for reply in self.replies if reply.status == 200]
        return {
            "answered": len(answered),
            "failed": len(self.replies) - len(answered),
            "per_second": round(len(answered) / self.seconds, 3),
            **{f"p{share}_ms": round(quantile(answered, share / 100) * 1000, 3) for share in (50, 95, 99)},
        }


def quantile(values: Iterable[float], share: float) -> float:
    """The nearest rank; not a number where there are no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def post(path: str, body: Any) -> bytes:
    """A whole request, as it goes over the wire."""
    payload = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


def closed_loop(port: int, requests: Iterator[bytes], concurrency: int, seconds: float) -> Window:
    """`concurrency` clients that each wait for an answer before they ask again, for `seconds` or until all is asked."""
    return _run(_closed_loop(port, requests, concurrency, seconds))


def open_loop(port: int, requests: Iterator[bytes], rate: float, seconds: float, patience: float = 10.0) -> Window:
    """Poisson arrivals at `rate` a second, whatever the server does; after `patience` seconds a client gives up."""
    return _run(_open_loop(port, requests, rate, seconds, patience))


def get(port: int, path: str) -> tuple[int, str]:
    """Status and body."""

    async def ask() -> tuple[int, str]:
        async with _Connection.opened(port) as connection:
            status, _, body = await connection.exchange(f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
        return status, body.decode()

    return uvloop.run(ask())


def rotated(requests: Sequence[bytes], start: int) -> Iterator[bytes]:
    """All of them from `start` on, round and round."""
    return itertools.islice(itertools.cycle(requests), start % len(requests), None)


def _run(load: Any) -> Window:
    gc.collect()
    gc.disable()
    try:
        window: Window = uvloop.run(load)
    finally:
        gc.enable()
    return window


async def _closed_loop(port: int, requests: Iterator[bytes], concurrency: int, seconds: float) -> Window:
    replies: list[Reply] = []
    started = time.perf_counter()

    async def client() -> None:
        async with _Connection.opened(port) as connection:
            for request in requests:
                if (sent := time.perf_counter()) > started + seconds:
                    break
                status, reason, _ = await connection.exchange(request)
                replies.append(Reply(sent - started, time.perf_counter() - sent, status, reason))

    await asyncio.gather(*(client() for _ in range(concurrency)))
    return Window(replies, time.perf_counter() - started)


async def _open_loop(port: int, requests: Iterator[bytes], rate: float, seconds: float, patience: float) -> Window:
    replies: list[Reply] = []
    idle: list[_Connection] = []
    arrivals = random.Random(0)  # the same arrivals for every server
    started = time.perf_counter()

    async def client(request: bytes, due: float) -> None:
        status, reason = 0, ""
        connection = None
        with contextlib.suppress(OSError, EOFError, TimeoutError):
            async with asyncio.timeout(patience):
                connection = idle.pop() if idle else await _Connection.open(port)
                status, reason, _ = await connection.exchange(request)
            idle.append(connection)
        if connection is not None and status == 0:
            connection.close()
        replies.append(Reply(due - started, time.perf_counter() - due, status, reason))

    due = started
    async with asyncio.TaskGroup() as clients:
        while (due := due + arrivals.expovariate(rate)) < started + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            clients.create_task(client(next(requests), due))
    for connection in idle:
        connection.close()
    return Window(replies, time.perf_counter() - started)


class _Connection:
    """HTTP/1.1 with keep-alive, for answers that carry a Content-Length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> _Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, port: int) -> Any:
        connection = await cls.open(port)
        try:
            yield connection
        finally:
            connection.close()

    async def exchange(self, request: bytes) -> tuple[int, str, bytes]:
        """Status, reason of the decision, body."""
        self._writer.write(request)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        body = await self._reader.readexactly(int(_header(head, b"content-length")))
        return int(head[9:12]), _header(head, b"x-pointsman-reason").decode(), body

    def close(self) -> None:
        self._writer.close()


def _header(head: bytes, name: bytes) -> bytes:
    _, _, after = head.partition(b"\r\n" + name + b": ")
    return after.partition(b"\r\n")[0]

"""Measure what TLS costs the service: a handshake, a request, a streamed chunk, an open connection.

The CPU time is that of the daemon's event loop, by the kernel; three daemons (without TLS, with an ECDSA key, with an
RSA key) are measured in turns. Clients and upstream share one process beside them. Writes benchmarks/results/tls.json.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from provenance import provenance
from target import difference, median

from support import certificates
from support.hostile import DONE, STREAM, Exchange, chunk, completion, event, run_hostile
from support.raw_client import RawClient, chat, post
from support.relay import Relay, run_relay

RESULT = Path(__file__).with_name("results") / "tls.json"
ROUNDS = 7
HANDSHAKES, REQUESTS, STREAMS, CHUNKS, IDLE = 100, 400, 16, 100, 200
CHUNK_SECONDS = 0.002
TEXT = "x" * 900

Tls = ssl.SSLContext | None


async def measure(folder: Path) -> dict[str, Any]:
    """Return the medians over the rounds, in microseconds and KiB."""
    keys = {name: certificates.make(folder, name, rsa=name == "rsa") for name in ("ecdsa", "rsa")}
    async with run_hostile() as upstream, contextlib.AsyncExitStack() as stack:
        upstream.script = _answer
        relays: dict[str, tuple[Relay, Tls]] = {}
        for name in ("plain", *keys):
            (folder / f"run-{name}").mkdir()
            server: Any = {"tls": keys[name].options()} if name in keys else {}
            relay = await stack.enter_async_context(run_relay(folder / f"run-{name}", upstream, server=server))
            relays[name] = relay, certificates.client(keys[name]) if name in keys else None
        kinds = {"connection": _connections, "request": _requests, "chunk": _streams}
        spent: dict[str, dict[str, list[float]]] = {kind: {name: [] for name in relays} for kind in kinds}
        for _ in range(ROUNDS):
            for kind, work in kinds.items():
                for name, (relay, tls) in relays.items():
                    upstream.requests.clear()
                    spent[kind][name].append(await _cpu_us(relay, tls, work))
        memory = {name: await _memory_kib(relay, tls) for name, (relay, tls) in relays.items()}
    return {
        "cpu_us": {
            kind: {name: round(median(found), 1) for name, found in each.items()} for kind, each in spent.items()
        },
        "more_than_plain_us": {
            kind: {name: round(difference(each[name], each["plain"]), 1) for name in keys}
            for kind, each in spent.items()
        },
        "memory_kib": memory,
    }


async def _answer(exchange: Exchange) -> None:
    if b'"stream"' not in await exchange.body():
        await completion(exchange)
        return
    await exchange.send(STREAM)
    for _ in range(CHUNKS):
        await exchange.send(chunk(event("a word")))
        await asyncio.sleep(CHUNK_SECONDS)
    await exchange.send(chunk(DONE) + chunk(b"") + b"\r\n")


async def _cpu_us(relay: Relay, tls: Tls, work: Callable[[Relay, Tls], Awaitable[int]]) -> float:
    """Return the microseconds of CPU time that the daemon's event loop spends on one unit of `work`."""
    before = _loop_ns(relay)
    units = await work(relay, tls)
    return (_loop_ns(relay) - before) / 1000 / units


def _loop_ns(relay: Relay) -> int:
    """Return the CPU time that the daemon's event loop has had, which is its first thread."""
    pid = relay.daemon.process.pid
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0])


async def _connections(relay: Relay, tls: Tls) -> int:
    for _ in range(HANDSHAKES):
        async with relay.client(tls=tls):
            pass
    return HANDSHAKES


async def _requests(relay: Relay, tls: Tls) -> int:
    async with relay.client(tls=tls) as client:
        for _ in range(REQUESTS):
            client.send(post(chat(TEXT)))
            await client.answer()
    return REQUESTS


async def _streams(relay: Relay, tls: Tls) -> int:
    async def one() -> None:
        async with relay.client(tls=tls) as client:
            client.send(post(chat(stream=True)))
            await client.answer()

    await asyncio.gather(*(one() for _ in range(STREAMS)))
    return STREAMS * CHUNKS


async def _memory_kib(relay: Relay, tls: Tls) -> float:
    """Return the resident memory that an open connection takes, which has answered one request."""
    async with _open(relay, tls, IDLE):
        before = _resident_kib(relay)  # what the first ones cost once is in it
        async with _open(relay, tls, IDLE):
            return round((_resident_kib(relay) - before) / IDLE, 1)


@contextlib.asynccontextmanager
async def _open(relay: Relay, tls: Tls, number: int) -> AsyncIterator[None]:
    async with contextlib.AsyncExitStack() as stack:
        clients: list[RawClient] = [await stack.enter_async_context(relay.client(tls=tls)) for _ in range(number)]
        for client in clients:
            client.send(post(chat()))
            await client.answer()
        yield


def _resident_kib(relay: Relay) -> int:
    status = Path(f"/proc/{relay.daemon.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = provenance() | asyncio.run(measure(Path(folder)))
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: result[key] for key in ("cpu_us", "more_than_plain_us", "memory_kib")}, indent=1))


if __name__ == "__main__":
    main()

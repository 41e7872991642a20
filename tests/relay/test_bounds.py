"""Clients that want all of the memory or all of the connections, and the others who are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.hostile import STREAM, Exchange, Hostile, chunk, completion, event, stall
from support.metrics import until
from support.process import eventually
from support.raw_client import RawClient, chat, post, request_head
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 2**20
BODY = 31 * MIB
HOSTILE, HONEST = "127.0.0.2", "127.0.0.3"


def memory(relay: Relay) -> int:
    """The most bytes that the daemon ever had resident."""
    status = Path(f"/proc/{relay.daemon.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


async def buffered(relay: Relay) -> float:
    return (await relay.metrics()).total("buffered_bytes")


@contextlib.asynccontextmanager
async def uploading(relay: Relay, sources: list[str], data: bytes) -> AsyncIterator[list[RawClient]]:
    """A client at each of these addresses, which sends what the daemon takes of `data`."""
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(relay.client(source=source)) for source in sources]
        for client in clients:
            client.send(data)
        yield clients


async def test_bodies_that_are_sent_ahead_are_not_read_before_their_turn(tmp_path: Path, upstream: Hostile) -> None:
    """Seven of 31 MiB on one connection: the first is read, and of the second what came with its head."""
    upstream.script = stall
    async with run_relay(tmp_path, upstream) as relay:
        before = memory(relay)
        body = json.dumps(chat()).encode().ljust(BODY)
        async with uploading(relay, [HOSTILE], post(body) * 7) as (client,):
            await (await upstream.arrived()).body()
            assert BODY <= await buffered(relay) < BODY + MIB
            client.leave()
            await upstream.requests[0].connection.gone.wait()
        await until(relay.daemon, "buffered_bytes", 0)
        assert memory(relay) - before < 100 * MIB


@pytest.mark.parametrize(
    ("sources", "read"), [([HOSTILE] * 30, 2), ([f"127.0.1.{n}" for n in range(1, 31)], 6)], ids=["one client", "many"]
)
async def test_unfinished_bodies_take_no_more_than_their_budget_and_others_are_served(
    tmp_path: Path, upstream: Hostile, sources: list[str], read: int
) -> None:
    """Thirty of 31 MiB: one client may hold a quarter of 256 MiB, all large ones together six eighths."""
    async with run_relay(tmp_path, upstream) as relay:
        before = memory(relay)
        async with uploading(relay, sources, request_head(BODY) + b" " * (BODY - 1)):
            await until(relay.daemon, "bodies_waiting", 30 - read)
            assert read * BODY <= await buffered(relay) <= 256 * MIB
            assert [(await relay.ask(source=HONEST)).status for _ in range(5)] == [200] * 5
            if read == 2:
                assert (await relay.ask(chat("x" * 20 * MIB), source=HONEST)).status == 200
            assert memory(relay) - before < 256 * MIB
        await until(relay.daemon, "buffered_bytes", 0)
        await until(relay.daemon, "bodies_waiting", 0)


async def endless(exchange: Exchange) -> None:
    await exchange.body()
    await exchange.send(STREAM)
    while True:
        await exchange.send(chunk(event("x" * 100_000)))
        await asyncio.sleep(0)  # to be told of the end where `send` does not have to wait


async def test_clients_that_never_read_lose_their_slots_and_vllm_stops(tmp_path: Path, upstream: Hostile) -> None:
    upstream.script = endless
    async with run_relay(tmp_path, upstream, server={"send_timeout_ms": 1_000, "max_in_flight": 40}) as relay:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(40):
                client = await stack.enter_async_context(relay.client(receive_buffer=4096, source=HOSTILE))
                client.send(post(chat(stream=True)))
            await upstream.arrived(40)
            await until(relay.daemon, "requests_in_flight", 0)
            upstream.script = completion
            assert (await relay.ask(source=HONEST)).status == 200

        def outcomes() -> list[str | None]:
            lines = relay.daemon.log_lines()
            return [line.get("left_in") for line in lines if line["event"] == "routing_decision"]

        await eventually(lambda: outcomes() == ["send"] * 40 + [None], "each has its outcome in the log")
        assert (await relay.metrics()).by("clients_left_total", "phase") == {"send": 40}


async def test_connections_that_say_nothing_keep_nobody_out(tmp_path: Path, upstream: Hostile) -> None:
    async with run_relay(tmp_path, upstream, server={"max_connections": 50}) as relay, contextlib.AsyncExitStack() as s:
        used = await s.enter_async_context(relay.client(source=HONEST))
        used.send(post(chat()))
        assert (await used.answer()).status == 200
        for _ in range(80):
            await s.enter_async_context(relay.client(source=HOSTILE))
        assert [(await relay.ask(source=HONEST)).status for _ in range(20)] == [200] * 20
        used.send(post(chat()))
        assert (await used.answer()).status == 200
        metrics = await relay.metrics()
        assert metrics.total("connections_evicted_total") >= 31
        assert metrics.by("refused_total", "reason") == {}


async def test_a_flood_that_wants_all_files_leaves_vllm_its_own(tmp_path: Path, upstream: Hostile) -> None:
    """3,000 connections to a service that may open 430 files; each request of the others needs a new one to vLLM."""
    upstream.script = completion
    async with run_relay(tmp_path, upstream, files=430) as relay, contextlib.AsyncExitStack() as stack:
        established = await stack.enter_async_context(relay.client(source=HONEST))
        over = asyncio.Event()

        async def works() -> list[int]:
            found = []
            while not over.is_set():
                established.send(post(chat()))
                found.append((await established.answer()).status)
            return found

        async def floods() -> None:
            for _ in range(1_000):
                with contextlib.suppress(OSError):
                    await stack.enter_async_context(relay.client(source=HOSTILE))

        working = asyncio.create_task(works())
        await asyncio.gather(floods(), floods(), floods())
        over.set()
        answers = await working
        metrics: Any = await relay.metrics()
        assert set(answers) == {200}
        assert metrics.total("connections") <= 151
        assert metrics.by("upstream_errors_total", "code") == {}
        assert metrics.total("endpoint_up") == 1
        assert (await relay.ask(source="127.0.0.4")).status == 200
        assert "at most 151 client connections" in (await relay.daemon.logged("files"))["message"]
        states = [line["state"] for line in relay.daemon.log_lines() if line["event"] == "endpoint"]
        assert not [state for state in states if "down" in state or "fails" in state]

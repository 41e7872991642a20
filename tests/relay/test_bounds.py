"""Clients that want all of the memory or all of the connections, and the others who are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.hostile import Hostile, completion
from support.metrics import until
from support.raw_client import RawClient, chat, post, request_head
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 2**20
BODY = 31 * MIB
HOSTILE, HONEST = "127.0.0.2", "127.0.0.3"


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


@pytest.mark.parametrize(
    ("sources", "read"), [([HOSTILE] * 30, 2), ([f"127.0.1.{n}" for n in range(1, 31)], 6)], ids=["one client", "many"]
)
async def test_unfinished_bodies_take_no_more_than_their_budget_and_others_are_served(
    tmp_path: Path, upstream: Hostile, sources: list[str], read: int
) -> None:
    """Thirty of 31 MiB: one client may hold a quarter of 256 MiB, all large ones together six eighths."""
    async with run_relay(tmp_path, upstream) as relay:
        before = relay.daemon.memory("VmHWM")
        async with uploading(relay, sources, request_head(BODY) + b" " * (BODY - 1)):
            await until(relay.daemon, "bodies_waiting", 30 - read)
            assert read * BODY <= await buffered(relay) <= 256 * MIB
            assert [(await relay.ask(source=HONEST)).status for _ in range(5)] == [200] * 5
            if read == 2:
                assert (await relay.ask(chat("x" * 20 * MIB), source=HONEST)).status == 200
            assert relay.daemon.memory("VmHWM") - before < 256 * MIB
        await until(relay.daemon, "buffered_bytes", 0)
        await until(relay.daemon, "bodies_waiting", 0)


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

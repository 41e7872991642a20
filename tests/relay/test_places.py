"""Heads whose bodies do not come, by the thousand from one address, and the requests of others meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.head_flood import SOURCE, flooding
from support.hostile import Hostile
from support.metrics import until
from support.process import PATIENCE_SECONDS
from support.raw_client import Got, chat, request_head
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

HONEST = "127.0.0.1"
ARRIVING = 1_024
DELAY_SECONDS = 1.0
"""Ten times as long as an attack may delay others."""
BODY = json.dumps(chat()).encode()
BODILESS = pytest.param(request_head(100), id="heads")
HALF = pytest.param(request_head(66_000) + b" " * 65_536, id="heads and 64 KiB")


@contextlib.asynccontextmanager
async def attacked(folder: Path, upstream: Hostile, data: bytes, **server: Any) -> AsyncIterator[Relay]:
    """A daemon in which the attack has taken whatever it gets."""
    (folder / "request").write_bytes(data)
    async with run_relay(folder, upstream, server=server) as relay:
        async with flooding(relay.url, folder / "request"):
            await until(relay.daemon, "bodies_arriving", ARRIVING)
            yield relay
        await until(relay.daemon, "connections", 0)
        await until(relay.daemon, "buffered_bytes", 0)


async def in_two_parts(relay: Relay, source: str) -> Got:
    """A request whose body is sent once the service asks for it."""
    async with relay.client(source=source) as client:
        client.send(request_head(len(BODY), "Expect: 100-continue"))
        status, _ = await client.head()
        assert status == 100
        client.send(BODY)
        return await client.answer()


async def worst(relay: Relay, rounds: int) -> float:
    """The longest time that a request took, of those that came whole and of those in two parts; all are answered."""
    most = 0.0
    for _ in range(rounds):
        for asked in (relay.ask(source=HONEST), in_two_parts(relay, HONEST)):
            start = time.monotonic()
            assert (await asked).status == 200
            most = max(most, time.monotonic() - start)
    return most


@pytest.mark.parametrize("data", [BODILESS, HALF])
async def test_heads_without_bodies_of_one_address_delay_nobody_else(
    tmp_path: Path, upstream: Hostile, data: bytes
) -> None:
    """From their own address, what comes whole is answered; what does not is told to wait."""
    async with attacked(tmp_path, upstream, data) as relay:
        assert await worst(relay, 20) < DELAY_SECONDS
        await until(relay.daemon, "bodies_arriving", ARRIVING)
        assert (await relay.ask(source=SOURCE)).status == 200
        async with relay.client(source=SOURCE) as client:
            client.send(request_head(len(BODY), "Expect: 100-continue"))
            got = await client.answer()
        assert (got.status, got.code, got.value("Retry-After")) == (429, "rate_limit_exceeded", "1")


@pytest.mark.parametrize("data", [BODILESS, HALF])
async def test_nor_do_they_where_each_that_is_cut_off_is_sent_anew(
    tmp_path: Path, upstream: Hostile, data: bytes
) -> None:
    """So often that each is cut off twice, for which the time of a body is short."""
    async with attacked(tmp_path, upstream, data, body_timeout_ms=2_000) as relay:
        async with asyncio.timeout(2 * PATIENCE_SECONDS):
            while (await relay.metrics()).total("refused_total", reason="body_timeout") < 2 * ARRIVING:
                assert await worst(relay, 5) < DELAY_SECONDS

"""A slow reader stops the upstream from being read, and costs a bounded amount of memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.hostile import DONE, STREAM, Exchange, Hostile, chunk, event, head, whole
from support.raw_client import chat, post
from support.relay import run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 2**20
# Of a stream that nobody reads: socket buffers of both sides of the daemon, the client's and the upstream's. A kernel
# may let one grow to 32 MiB.
HELD_BYTES = 64 * MIB


def large(framing: str) -> Any:
    """200 MB, as fast as they are taken."""
    piece = event("x" * 100_000)

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        if framing == "stream":
            await exchange.send(STREAM)
            for _ in range(2000):
                await exchange.send(chunk(piece))
            await exchange.send(chunk(DONE) + chunk(b"") + b"\r\n")
        else:
            await exchange.send(head("200 OK", "Content-Type: application/json", f"Content-Length: {200 * 10**6}"))
            for _ in range(2000):
                await exchange.send(b"x" * 100_000)

    return script


@pytest.mark.parametrize("framing", ["stream", "length"])
async def test_200_mb_that_are_not_read_are_not_held(tmp_path: Path, upstream: Hostile, framing: str) -> None:
    async with run_relay(tmp_path, upstream) as relay:
        assert (await relay.ask()).status == 200  # what the first request costs once
        before = relay.daemon.memory()
        upstream.script = large(framing)
        async with relay.client(receive_buffer=4096) as client:
            client.send(post(chat(stream=framing == "stream")))
            await upstream.arrived(2)
            assert await upstream.stands_still() < HELD_BYTES
            assert relay.daemon.memory() - before < 8 * MIB
            got = await client.answer(timeout_s=120)
            assert relay.daemon.memory() - before < 16 * MIB
    assert len(got.body) >= 200 * 10**6


async def test_small_answers_that_are_not_read_are_not_held(tmp_path: Path, upstream: Hostile) -> None:
    """A client sends 5,000 requests, of which each answer is whole before it could be held up: 300 MB."""
    upstream.script = whole(b"x" * 60_000)
    async with run_relay(tmp_path, upstream) as relay:
        assert (await relay.ask()).status == 200
        before = relay.daemon.memory()
        async with relay.client(receive_buffer=4096) as client:
            client.send(post(chat()) * 5_000)
            await upstream.stands_still()
            assert relay.daemon.memory() - before < 8 * MIB
            assert len(upstream.requests) < 500

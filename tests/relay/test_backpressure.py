"""A slow reader stops the upstream from being read, and costs a bounded amount of memory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.hostile import DONE, STREAM, Exchange, Hostile, chunk, event, head, streams, whole
from support.raw_client import chat, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 2**20
# Of a stream that nobody reads: socket buffers of both sides of the daemon, the client's and the upstream's.
HELD_BYTES = 24 * MIB


def memory(relay: Relay) -> int:
    """Resident bytes of the daemon."""
    status = Path(f"/proc/{relay.daemon.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


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
        before = memory(relay)
        upstream.script = large(framing)
        async with relay.client(receive_buffer=4096) as client:
            client.send(post(chat(stream=framing == "stream")))
            await upstream.arrived(2)
            assert await upstream.stands_still() < HELD_BYTES
            assert memory(relay) - before < 8 * MIB
            got = await client.answer(timeout_s=120)
            assert memory(relay) - before < 16 * MIB
    assert len(got.body) >= 200 * 10**6


async def test_64_readers_that_stop_cost_what_their_buffers_hold(tmp_path: Path, upstream: Hostile) -> None:
    upstream.script = large("stream")
    async with run_relay(tmp_path, upstream) as relay:
        before = memory(relay)
        async with asyncio.TaskGroup() as group:
            stop = asyncio.Event()
            for _ in range(64):
                group.create_task(_never_reads(relay, stop))
            await upstream.arrived(64)
            await upstream.stands_still()
            each = (memory(relay) - before) / 64
            stop.set()
    assert each < 1 * MIB, f"{each / 1024:.0f} KiB a stream"


async def _never_reads(relay: Relay, stop: asyncio.Event) -> None:
    async with relay.client(receive_buffer=4096) as client:
        client.send(post(chat(stream=True)))
        await stop.wait()


async def test_small_answers_that_are_not_read_are_not_held(tmp_path: Path, upstream: Hostile) -> None:
    """A client sends 5,000 requests, of which each answer is whole before it could be held up: 300 MB."""
    upstream.script = whole(b"x" * 60_000)
    async with run_relay(tmp_path, upstream) as relay:
        assert (await relay.ask()).status == 200
        before = memory(relay)
        async with relay.client(receive_buffer=4096) as client:
            client.send(post(chat()) * 5_000)
            await upstream.stands_still()
            assert memory(relay) - before < 8 * MIB
            assert len(upstream.requests) < 500


async def test_a_reader_that_stops_holds_up_nobody_else(relay: Relay) -> None:
    relay.upstream.script = large("stream")
    async with relay.client(receive_buffer=4096) as client:
        client.send(post(chat(stream=True)))
        await relay.upstream.stands_still()
        relay.upstream.script = streams()
        for _ in range(20):
            assert (await relay.ask(chat(stream=True))).body.endswith(DONE)


async def test_bodies_are_not_held_once_they_are_answered(tmp_path: Path, upstream: Hostile) -> None:
    """Thirty of 16 MB, one after the other: the allocator may keep some, of what it got back."""
    body = chat("x" * 16_000_000)
    upstream.script = whole(b"{}")
    async with run_relay(tmp_path, upstream) as relay:
        for _ in range(5):
            await relay.ask(body)
        after_five = memory(relay)
        for _ in range(25):
            upstream.requests.clear()
            await relay.ask(body)
        assert memory(relay) - after_five < 128 * MIB


async def test_large_bodies_on_a_connection_that_is_used_again_arrive_whole(tmp_path: Path, upstream: Hostile) -> None:
    """Sixty of 16 MB: what the socket does not take at once is sent later, every time."""
    body = chat("x" * 16_000_000)
    async with run_relay(tmp_path, upstream) as relay:
        upstream.script = whole(b"{}")
        for _ in range(60):
            upstream.requests.clear()
            assert (await relay.ask(body)).status == 200
            assert len(upstream.requests[0].request.body) > 16_000_000

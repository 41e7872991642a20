"""SIGTERM at a real process: not ready, no new connections, running answers end within the bound."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from support.hostile import DONE, STREAM, Exchange, Hostile, chunk, event, stall_in_stream, whole
from support.process import PATIENCE_SECONDS
from support.raw_client import Cut, RawClient, chat, connect, post, request_head
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG: Any = {"server": {"drain_timeout_ms": 300_000}}


async def stopping(relay: Relay, number: int = signal.SIGTERM) -> None:
    relay.daemon.process.send_signal(number)
    await relay.daemon.logged("stopping")


async def stream_begun(relay: Relay, client: RawClient) -> Exchange:
    """A stream whose first event has come; the rest of it hangs."""
    count = len(relay.upstream.requests) + 1
    client.send(post(chat(stream=True)))
    assert (await client.head())[0] == 200
    assert await client.until(b"\n\n\r\n")
    return await relay.upstream.arrived(count)


async def admin_ready(relay: Relay) -> tuple[int, Any]:
    async with connect(relay.daemon.admin_url) as client:
        client.send(b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = await client.answer()
    return got.status, got.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_while_running_answers_end_it_is_not_ready_and_takes_no_connection(
    tmp_path: Path, upstream: Hostile, number: int
) -> None:
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        if exchange.request.json.get("stream"):
            await exchange.send(STREAM + chunk(event("one")))
            await go_on.wait()
            await exchange.send(chunk(event("two")) + chunk(DONE) + chunk(b"") + b"\r\n")
        else:
            await go_on.wait()
            await whole(b"{}")(exchange)

    upstream.script = script
    async with run_relay(tmp_path, upstream, **LONG) as relay, relay.client() as one, relay.client() as two:
        await stream_begun(relay, one)
        two.send(post(chat()))
        await upstream.arrived(2)
        await stopping(relay, number)
        # Its answer follows the close of the listening sockets, the log line does not.
        assert await admin_ready(relay) == (503, "not_ready")
        with pytest.raises(ConnectionError):
            await relay.ask()
        go_on.set()
        got = b"".join([data async for data in one.chunks()])
        assert got == event("two") + DONE
        assert (await two.answer()).body == b"{}"
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await relay.daemon.process.wait() == 0


async def pour(exchange: Exchange) -> None:
    """Send more than a client reads."""
    await exchange.body()
    await exchange.send(STREAM)
    while True:
        await exchange.send(chunk(event("x" * 65536)))


async def test_clients_that_stall_and_a_storm_of_sighup_do_not_hold_the_end_up(
    tmp_path: Path, upstream: Hostile
) -> None:
    upstream.script = pour
    async with (
        run_relay(tmp_path, upstream, server={"drain_timeout_ms": 500}) as relay,
        relay.client(receive_buffer=4096) as never_reads,
        relay.client() as unfinished,
        relay.client(),
    ):
        never_reads.send(post(chat(stream=True)))
        await never_reads.until(b"\r\n\r\n")
        unfinished.send(request_head(4 * 2**20) + b" " * 2**20)
        await stopping(relay)
        ended = asyncio.create_task(relay.daemon.process.wait())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not ended.done():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(relay.daemon.process.pid, signal.SIGHUP)
                await asyncio.sleep(0)
        assert await ended == 0
        assert [line for line in relay.daemon.log_lines() if line["event"] == "reload"] == []


async def test_a_second_signal_ends_at_once(tmp_path: Path, upstream: Hostile) -> None:
    """Streams are told all the same."""
    upstream.script = stall_in_stream
    async with run_relay(tmp_path, upstream, **LONG) as relay, relay.client() as client:
        exchange = await stream_begun(relay, client)
        await stopping(relay)
        relay.daemon.process.send_signal(signal.SIGTERM)
        got = b""
        async with asyncio.timeout(PATIENCE_SECONDS):
            with pytest.raises(Cut):  # noqa: PT012 - what came before it counts
                async for data in client.chunks():
                    got += data
            assert json.loads(got.strip().removeprefix(b"data: "))["error"]["code"] == "shutting_down"
            assert await relay.daemon.process.wait() == 0
            await exchange.connection.gone.wait()

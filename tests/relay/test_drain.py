"""SIGTERM: not ready, no new connections, running answers end within the bound, then the rest are told."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from support.hostile import DONE, STREAM, Exchange, Hostile, chunk, event, stall, stall_in_stream, whole
from support.raw_client import Cut, RawClient, chat, connect, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG: Any = {"server": {"drain_timeout_ms": 30_000}}
SHORT: Any = {"server": {"drain_timeout_ms": 500}}


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


async def rest_of_stream(client: RawClient) -> bytes:
    """What comes until it is cut; fails where it looks whole."""
    got = b""
    with pytest.raises(Cut):  # noqa: PT012 - what came before it counts
        async for data in client.chunks():
            got += data
    return got


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_running_answers_end_and_so_does_the_daemon(tmp_path: Path, upstream: Hostile, number: int) -> None:
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
        go_on.set()
        got = b"".join([data async for data in one.chunks()])
        assert got == event("two") + DONE
        assert (await two.answer()).body == b"{}"
        async with asyncio.timeout(10):
            assert await relay.daemon.process.wait() == 0


async def test_it_is_not_ready_and_takes_no_connection_while_it_drains(tmp_path: Path, upstream: Hostile) -> None:
    upstream.script = stall_in_stream
    async with run_relay(tmp_path, upstream, **LONG) as relay, relay.client() as client:
        await stream_begun(relay, client)
        await stopping(relay)
        with pytest.raises(ConnectionError):
            await relay.ask()
        assert await admin_ready(relay) == (503, "not_ready")
        client.leave()
        async with asyncio.timeout(10):
            assert await relay.daemon.process.wait() == 0


async def admin_ready(relay: Relay) -> tuple[int, Any]:
    async with connect(relay.daemon.admin_url) as client:
        client.send(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        got = await client.answer()
    return got.status, got.code


async def test_idle_connections_are_closed_at_once(tmp_path: Path, upstream: Hostile) -> None:
    """Those that had an answer: a connection that never asked anything may have its request on the way."""
    async with run_relay(tmp_path, upstream, **LONG) as relay, relay.client() as idle:
        idle.send(post(chat()))
        assert (await idle.answer()).status == 200
        started = time.monotonic()
        relay.daemon.process.terminate()
        assert await idle.rest() == b""
        async with asyncio.timeout(10):
            assert await relay.daemon.process.wait() == 0
        assert time.monotonic() - started < 10


async def test_a_connection_that_has_not_asked_yet_may_still_ask(tmp_path: Path, upstream: Hostile) -> None:
    """Its request may be on the way: the head has begun, or it connected just now. The answer says it is the last."""
    request = post(chat())
    async with run_relay(tmp_path, upstream, **LONG) as relay, relay.client() as begun, AsyncExitStack() as stack:
        begun.send(post(chat()))
        assert (await begun.answer()).status == 200
        begun.send(request[:20])
        silent = await stack.enter_async_context(relay.client())
        await accepted(relay)
        await stopping(relay)
        for client, data in ((silent, request), (begun, request[20:])):
            client.send(data)
            got = await client.answer()
            assert (got.status, got.value("Connection")) == (200, "close")
            assert await client.rest() == b""
        async with asyncio.timeout(10):
            assert await relay.daemon.process.wait() == 0


async def accepted(relay: Relay) -> None:
    """What was connected and sent until now has been accepted and read: in order, and this was the last of it."""
    async with relay.client() as last:
        last.send(post(chat()))
        assert (await last.answer()).status == 200


@pytest.mark.parametrize("options", [LONG, SHORT], ids=["far below the bound", "and never longer than it"])
async def test_a_connection_that_never_asked_does_not_hold_the_end_up(
    tmp_path: Path, upstream: Hostile, options: Any
) -> None:
    """A proxy's spare connection, or a browser's: what has not asked soon after it connected will not."""
    async with run_relay(tmp_path, upstream, **options) as relay, relay.client() as silent:
        await accepted(relay)
        await stopping(relay)
        assert await silent.rest(within_s=10) == b""
        async with asyncio.timeout(10):
            assert await relay.daemon.process.wait() == 0


async def test_an_answer_that_ends_while_it_drains_says_that_the_connection_does(
    tmp_path: Path, upstream: Hostile
) -> None:
    go_on = asyncio.Event()

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await go_on.wait()
        await whole(b"{}")(exchange)

    upstream.script = script
    async with run_relay(tmp_path, upstream, **LONG) as relay, relay.client() as client:
        client.send(post(chat()))
        await upstream.arrived()
        await stopping(relay)
        go_on.set()
        got = await client.answer()
        assert got.value("Connection") == "close"
        assert await client.rest() == b""


async def test_what_has_not_ended_in_time_is_told_so(tmp_path: Path, upstream: Hostile) -> None:
    """A stream by an error event, what has no head yet by a 503; and nothing goes on upstream."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await (stall_in_stream if exchange.request.json.get("stream") else stall)(exchange)

    upstream.script = script
    async with run_relay(tmp_path, upstream, **SHORT) as relay, relay.client() as one, relay.client() as two:
        await stream_begun(relay, one)
        two.send(post(chat()))
        await upstream.arrived(2)
        await stopping(relay)
        got = await rest_of_stream(one)
        assert json.loads(got.strip().removeprefix(b"data: "))["error"]["code"] == "shutting_down"
        answer = await two.answer()
        assert (answer.status, answer.code) == (503, "shutting_down")
        assert int(answer.value("Retry-After") or 0) >= 1
        async with asyncio.timeout(10):
            assert await relay.daemon.process.wait() == 0
    for exchange in upstream.requests:
        async with asyncio.timeout(5):
            await exchange.connection.gone.wait()


async def test_a_client_that_does_not_read_holds_the_end_up_no_longer_than_the_bound(
    tmp_path: Path, upstream: Hostile
) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM)
        while True:
            await exchange.send(chunk(event("x" * 65536)))

    upstream.script = script
    async with run_relay(tmp_path, upstream, **SHORT) as relay, relay.client(receive_buffer=4096) as client:
        client.send(post(chat(stream=True)))
        await client.until(b"\r\n\r\n")
        await stopping(relay)
        async with asyncio.timeout(10):
            assert await relay.daemon.process.wait() == 0


async def test_a_second_signal_ends_at_once(tmp_path: Path, upstream: Hostile) -> None:
    """Streams are told all the same."""
    upstream.script = stall_in_stream
    async with run_relay(tmp_path, upstream, **LONG) as relay, relay.client() as client:
        exchange = await stream_begun(relay, client)
        await stopping(relay)
        started = time.monotonic()
        relay.daemon.process.send_signal(signal.SIGTERM)
        got = await rest_of_stream(client)
        assert json.loads(got.strip().removeprefix(b"data: "))["error"]["code"] == "shutting_down"
        async with asyncio.timeout(10):
            assert await relay.daemon.process.wait() == 0
        assert time.monotonic() - started < 10
        async with asyncio.timeout(5):
            await exchange.connection.gone.wait()


async def test_a_client_that_leaves_while_it_drains_ends_its_generation(tmp_path: Path, upstream: Hostile) -> None:
    upstream.script = stall_in_stream
    async with run_relay(tmp_path, upstream, **LONG) as relay, relay.client() as client:
        exchange = await stream_begun(relay, client)
        await stopping(relay)
        client.leave()
        async with asyncio.timeout(5):
            await exchange.connection.gone.wait()
            assert await relay.daemon.process.wait() == 0

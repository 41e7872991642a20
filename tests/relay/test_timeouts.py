"""Connect, first byte, silence and total have each their own limit, and each ends the generation."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.hostile import (
    DONE,
    STREAM,
    Exchange,
    Hostile,
    chunk,
    deaf_port,
    event,
    head,
    sends,
    stall,
    stall_in_stream,
    streams,
)
from support.raw_client import Cut, RawClient, chat, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIMIT_MS = 400
LIMIT_S = LIMIT_MS / 1000


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hurried_daemon(shared_upstream: Hostile, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    options: Any = {
        "connect_timeout_ms": LIMIT_MS,
        "first_byte_timeout_ms": LIMIT_MS,
        "idle_timeout_ms": LIMIT_MS,
    }
    async with run_relay(tmp_path_factory.mktemp("hurried"), shared_upstream, relay=options) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def hurried(hurried_daemon: Relay, upstream: Hostile) -> AsyncIterator[Relay]:
    """Whatever happened, the generation is over at the end."""
    yield hurried_daemon
    async with asyncio.timeout(10):
        for exchange in upstream.requests:
            if not exchange.request.whole.is_set() or exchange.owner.script in {stall, stall_in_stream}:
                await exchange.connection.gone.wait()


async def cut_stream(client: RawClient) -> bytes:
    """What came of a stream that is seen to be cut."""
    assert (await client.head())[0] == 200
    got = b""
    with pytest.raises(Cut):  # noqa: PT012 - what came before it counts
        async for data in client.chunks():
            got += data
    return got


def code(got: bytes) -> Any:
    """Of the error event at the end."""
    return json.loads(got.rpartition(b"\n\ndata: ")[2])["error"]["code"]


async def test_no_connection_in_time_is_a_502(tmp_path_factory: pytest.TempPathFactory) -> None:
    options: Any = {"relay": {"connect_timeout_ms": LIMIT_MS}, "adapters": {"poll_interval_ms": 0}}
    with deaf_port() as port:
        async with run_relay(tmp_path_factory.mktemp("deaf"), Hostile(port=port), **options) as relay:
            got = await relay.ask()

    assert (got.status, got.code) == (502, "upstream_unreachable")


async def test_no_byte_in_time_is_a_504(hurried: Relay) -> None:
    hurried.upstream.script = stall
    got = await hurried.ask()

    assert (got.status, got.code) == (504, "upstream_timeout")
    await hurried.upstream.requests[0].connection.gone.wait()


@pytest.mark.parametrize("drip", [False, True])
async def test_a_head_that_is_not_whole_in_time_is_a_504(hurried: Relay, drip: bool) -> None:
    """Nor does a byte now and then hold it up for ever."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(b"HTTP/1.1 200 OK\r\nX-Long: ")
        while drip:
            await exchange.send(b"x")
            await asyncio.sleep(0.05)
        await exchange.hold()

    hurried.upstream.script = script
    got = await hurried.ask()

    assert (got.status, got.code) == (504, "upstream_timeout")
    await hurried.upstream.requests[0].connection.gone.wait()


async def test_a_body_that_vllm_does_not_take_in_time_is_a_504(hurried: Relay) -> None:
    async def script(exchange: Exchange) -> None:
        exchange.connection.transport.pause_reading()
        await exchange.hold()

    hurried.upstream.script = script
    got = await hurried.ask(chat("x" * 16_000_000))
    hurried.upstream.requests[0].connection.transport.resume_reading()

    assert (got.status, got.code) == (504, "upstream_timeout")


async def test_a_stream_that_falls_silent_ends_with_an_error_event(hurried: Relay) -> None:
    hurried.upstream.script = stall_in_stream
    async with hurried.client() as client:
        client.send(post(chat(stream=True)))
        got = await cut_stream(client)

    assert got.startswith(event("one"))
    assert code(got) == "upstream_timeout"


async def test_a_body_that_falls_silent_is_seen_to_be_cut(hurried: Relay) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(head("200 OK", "Content-Type: application/json", "Content-Length: 100") + b"{")
        await exchange.hold()

    hurried.upstream.script = script
    with pytest.raises(Cut) as caught:
        await hurried.ask()

    assert caught.value.got == b"{"


@pytest.mark.parametrize(
    "comments",
    [
        [b": keep-alive\n\n"],
        [b": keep-alive\n\n: keep-alive\n\n"],
        [b": keep-alive\r\n\r\n"],
        [b": keep-alive dead beef data " * 3 + b"\n\n"],
    ],
    ids=["one", "two at once", "CRLF", "long"],
)
@pytest.mark.parametrize("piece", [1000, 5], ids=["whole", "in pieces"])
async def test_comments_are_passed_on_and_are_no_progress(hurried: Relay, comments: list[bytes], piece: int) -> None:
    """vLLM's front end sends them for minutes after its engine died; a network may cut them anywhere."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM + chunk(event("one")))
        while True:
            for framed in map(chunk, comments):
                for start in range(0, len(framed), piece):
                    await exchange.send(framed[start : start + piece])
                    await asyncio.sleep(0.002)

    hurried.upstream.script = script
    async with hurried.client() as client, asyncio.timeout(20 * LIMIT_S):
        client.send(post(chat(stream=True)))
        got = await cut_stream(client)

    assert got.startswith(event("one") + b"".join(comments))
    assert code(got) == "upstream_timeout"
    await hurried.upstream.requests[0].connection.gone.wait()


async def test_a_stream_that_goes_on_is_never_cut_however_long(hurried: Relay) -> None:
    hurried.upstream.script = streams([str(number) for number in range(20)], every_s=LIMIT_S / 8)
    started = time.monotonic()
    got = await hurried.ask(chat(stream=True))

    assert got.body.endswith(DONE)
    assert time.monotonic() - started > 2 * LIMIT_S


async def test_the_time_that_a_client_takes_to_read_is_not_vllms(hurried: Relay) -> None:
    """Nothing is read from vLLM meanwhile, which must not look like silence."""
    words = ["x" * 65536] * 300
    hurried.upstream.script = streams(words)
    async with hurried.client(receive_buffer=4096) as client:
        client.send(post(chat(stream=True)))
        await asyncio.sleep(2 * LIMIT_S)  # long enough for a wrong end, and nothing is to happen
        assert not hurried.upstream.requests[0].connection.gone.is_set()
        got = await client.answer(within_s=60)

    assert got.body == b"".join(map(event, words)) + DONE


async def test_the_total_is_a_limit_of_its_own(tmp_path_factory: pytest.TempPathFactory, upstream: Hostile) -> None:
    """It is off unless it is set: the tests above have streams that outlast every other limit."""
    upstream.script = streams([str(number) for number in range(10_000)], every_s=0.01)
    async with run_relay(tmp_path_factory.mktemp("total"), upstream, relay={"total_timeout_ms": LIMIT_MS}) as relay:
        async with relay.client() as client:
            client.send(post(chat(stream=True)))
            got = await cut_stream(client)
        assert code(got) == "upstream_timeout"
        upstream.script = sends(head("200 OK", "Content-Length: 10") + b"[", then=lambda _: None)
        async with asyncio.timeout(10):
            await upstream.requests[0].connection.gone.wait()

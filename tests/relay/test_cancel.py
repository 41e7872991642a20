"""A client that leaves is noticed within 100 ms where kernel buffers or a busy CPU could hide it.

The unit tests state what follows in each phase of a request.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from support.hostile import STREAM, Exchange, chunk, event, stall_in_stream
from support.process import PATIENCE_SECONDS
from support.raw_client import RawClient, chat, post
from support.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUNDS = 9
BOUND_SECONDS = 1.0
"""The target is 100 ms, on a quiet machine."""
_numbers = itertools.count()
Leave = Callable[[RawClient], float]


@pytest.fixture(params=["FIN", "RST"])
def leave(request: pytest.FixtureRequest) -> Leave:
    """A client that closes, and one whose process is killed."""
    return RawClient.close if request.param == "FIN" else RawClient.leave


@asynccontextmanager
async def leavers(relay: Relay, *phases: str) -> AsyncIterator[Callable[[], str]]:
    """Gives request ids; at the end each of them must have left in one of these phases, counted once."""
    given: list[str] = []

    def next_id() -> str:
        given.append(f"leaver-{next(_numbers)}")
        return given[-1]

    async def counted() -> float:
        by_phase = (await relay.metrics()).by("clients_left_total", "phase")
        return sum(by_phase.get(phase, 0) for phase in phases)

    before = await counted()
    yield next_id
    for request_id in given:
        line = await relay.outcome(request_id)
        assert line["status"] == 499
        assert line["left_in"] in phases
    assert await counted() == before + len(given)


async def left_after(exchange: Exchange, at: float) -> float:
    """Seconds from the client's leaving to the end of the connection that carried its request."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await exchange.connection.gone.wait()
    assert exchange.connection.left is not None
    return exchange.connection.left - at


async def test_within_a_stream_that_is_silent(relay: Relay, leave: Leave) -> None:
    """Not only when the next chunk cannot be written."""
    relay.upstream.script = stall_in_stream
    seconds: list[float] = []
    async with leavers(relay, "stream") as next_id:
        for count in range(1, ROUNDS + 1):
            async with relay.client() as client:
                client.send(post(chat(stream=True), f"X-Request-Id: {next_id()}"))
                exchange = await relay.upstream.arrived(count)
                await client.until(b"\n\n")
                seconds.append(await left_after(exchange, leave(client)))
    assert statistics.median(seconds) < BOUND_SECONDS, seconds


async def test_while_its_body_is_on_the_way_to_vllm(relay: Relay, leave: Leave) -> None:
    """The upstream does not read until the client has left, so the body is stuck half way."""

    async def script(exchange: Exchange) -> None:
        exchange.connection.transport.pause_reading()
        await exchange.hold()

    relay.upstream.script = script
    async with leavers(relay, "head") as next_id, relay.client() as client:
        request_id = next_id()
        client.send(post(chat("x" * 16_000_000), f"X-Request-Id: {request_id}"))
        exchange = await relay.upstream.arrived()
        leave(client)
        await relay.outcome(request_id)
        exchange.connection.transport.resume_reading()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await exchange.connection.gone.wait()
    assert not exchange.request.whole.is_set()


async def test_leaving_in_the_middle_of_a_flood_is_no_exception_in_the_log(relay: Relay) -> None:
    """Its connection is closed by the event loop before anybody is told, and the next bytes from vLLM are there."""

    async def flood(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM)
        while not exchange.connection.gone.is_set():
            await exchange.send(chunk(event("word") * 20))
            await asyncio.sleep(0)

    async def leaver(number: int) -> None:
        for turn in range(10):
            async with relay.client() as client:
                client.send(post(chat(stream=True), f"X-Request-Id: flood-{number}-{turn}"))
                for _ in range(turn + 1):
                    await client.until(b"\n\n")
                client.leave()
            assert (await relay.outcome(f"flood-{number}-{turn}"))["status"] == 499

    relay.upstream.script = flood
    await asyncio.gather(*map(leaver, range(8)))
    assert [line["message"] for line in relay.daemon.log_lines() if line["event"] == "library"] == []

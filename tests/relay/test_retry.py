"""A request is sent a second time only where the first provably did not start, and that is counted.

Two cases: no connection was made, or a connection that had served before died at once without a byte of an answer.
Whatever else happens, a generation is never started twice.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pointsman.upstream.connection import CROSSING_SECONDS
from support.hostile import Exchange, Hostile, completion, deaf_port, head, run_hostile, stall
from support.process import reserve_port
from support.raw_client import chat, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

NO_POLL: Any = {"adapters": {"poll_interval_ms": 0}}
Ending = Callable[[Exchange], None]


@pytest.fixture(params=["FIN", "RST"])
def ending(request: pytest.FixtureRequest) -> Ending:
    return Exchange.close if request.param == "FIN" else Exchange.reset


def dies_on_reuse(ending: Ending, part: bytes = b"") -> Any:
    """Answers the first request of a connection and ends the connection on the second, after `part` of an answer."""

    async def script(exchange: Exchange) -> None:
        if exchange.request.number == 1:
            return await completion(exchange)
        await exchange.body()
        if part:
            await exchange.send(part)
            await asyncio.sleep(0.05)  # or a reset would take it along
        return ending(exchange)

    return script


async def retries(relay: Relay) -> float:
    return (await relay.metrics()).total("retries_total")


async def warm(relay: Relay) -> None:
    """Leave a connection in the pool that has served."""
    relay.upstream.script = completion
    assert (await relay.ask()).status == 200
    relay.upstream.requests.clear()


async def test_a_reused_connection_that_dies_without_a_byte_is_tried_once_more(relay: Relay, ending: Ending) -> None:
    await warm(relay)
    relay.upstream.script = dies_on_reuse(ending)
    before = await retries(relay)
    got = await relay.ask(chat("again"), "X-Request-Id: tried-again")

    assert got.status == 200
    first, second = relay.upstream.requests
    assert first.connection is not second.connection
    assert second.request.number == 1
    assert (first.request.body, first.request.headers) == (second.request.body, second.request.headers)
    assert await retries(relay) == before + 1


async def test_the_log_has_the_proof_of_a_second_try(relay: Relay) -> None:
    await warm(relay)
    relay.upstream.script = dies_on_reuse(Exchange.reset)
    request_id = f"proof-{id(relay)}"
    await relay.ask(chat(), f"X-Request-Id: {request_id}")

    (tried,) = (await relay.outcome(request_id))["retried"]
    assert (tried["endpoint"], tried["why"]) == ("a", "reused")
    assert tried["proof"]


async def test_a_second_try_on_a_new_connection_is_the_last(relay: Relay, ending: Ending) -> None:
    """However many dead connections are in the pool."""
    relay.upstream.script = completion
    await asyncio.gather(*(warm(relay) for _ in range(5)))
    relay.upstream.requests.clear()

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        ending(exchange)

    relay.upstream.script = script
    got = await relay.ask()

    assert (got.status, got.code) == (502, "upstream_broken")
    assert len(relay.upstream.requests) <= 2


async def test_a_new_connection_that_dies_is_never_tried_again(
    tmp_path: Path, upstream: Hostile, ending: Ending
) -> None:
    """The request may have started."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        ending(exchange)

    upstream.script = script
    async with run_hostile() as other, run_relay(tmp_path, upstream, other, **NO_POLL) as relay:
        other.script = script
        got = await relay.ask()

        assert (got.status, got.code) == (502, "upstream_broken")
        assert len(upstream.requests) + len(other.requests) == 1
        assert await retries(relay) == 0


@pytest.mark.parametrize(
    "part",
    [b"H", head("200 OK", "Content-Length: 10")[:-2], head("100 Continue"), head("200 OK", "Content-Length: 10")],
    ids=["a byte", "half a head", "a 100", "a head"],
)
async def test_a_reused_connection_that_dies_after_a_byte_is_never_tried_again(
    relay: Relay, ending: Ending, part: bytes
) -> None:
    await warm(relay)
    relay.upstream.script = dies_on_reuse(ending, part)
    before = await retries(relay)
    async with relay.client() as client:
        client.send(post(chat()))
        rest = await client.rest() if part.endswith(b"10\r\n\r\n") else (await client.answer()).body

    assert b"upstream_broken" in rest or part.endswith(b"10\r\n\r\n")
    assert len(relay.upstream.requests) == 1
    assert await retries(relay) == before


async def test_a_reused_connection_that_dies_late_is_never_tried_again(relay: Relay, ending: Ending) -> None:
    """What was sent may have started: no closing of an idle connection takes so long to be heard of."""

    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await asyncio.sleep(1.5 * CROSSING_SECONDS)
        ending(exchange)

    await warm(relay)
    relay.upstream.script = script
    got = await relay.ask()

    assert (got.status, got.code) == (502, "upstream_broken")
    (only,) = relay.upstream.requests
    assert only.request.number > 1


async def test_no_request_is_lost_when_vllm_closes_idle_connections_at_the_moment_of_reuse(
    relay: Relay, upstream: Hostile
) -> None:
    """uvicorn closes after 5 s; here after 30 ms, with requests that come just then."""
    upstream.idle_close_s = 0.03
    for step in range(40):
        assert (await relay.ask()).status == 200
        await asyncio.sleep(0.027 + step * 0.0002)
    assert len(upstream.requests) >= 40


async def test_no_request_is_lost_when_vllm_closes_every_connection_after_its_answer(relay: Relay) -> None:
    """It said nothing of it in the answer."""
    relay.upstream.idle_close_s = 0
    for _ in range(40):
        assert (await relay.ask()).status == 200


async def test_an_idle_connection_is_closed_before_vllm_would(relay: Relay) -> None:
    """It never closes one here."""
    await relay.ask()
    (exchange,) = relay.upstream.requests
    idle_since = time.monotonic()
    async with asyncio.timeout(30):
        await exchange.connection.gone.wait()

    assert exchange.connection.left is not None
    assert exchange.connection.left - idle_since > 2


async def test_a_refused_connection_goes_to_the_next_endpoint(tmp_path: Path, upstream: Hostile) -> None:
    async with run_relay(tmp_path, upstream, Hostile(port=reserve_port()), **NO_POLL) as relay:
        for _ in range(20):
            assert (await relay.ask()).status == 200
        assert await retries(relay) > 0
        assert (await relay.metrics()).total("requests_total", status="200") == 20
    assert len(upstream.requests) == 20


async def test_a_connection_that_is_not_made_in_time_goes_to_the_next_endpoint(
    tmp_path: Path, upstream: Hostile
) -> None:
    options = NO_POLL | {"relay": {"connect_timeout_ms": 100}}
    with deaf_port() as port:
        async with run_relay(tmp_path, upstream, Hostile(port=port), **options) as relay:
            for _ in range(20):
                assert (await relay.ask()).status == 200
            assert await retries(relay) > 0
    assert len(upstream.requests) == 20


async def test_no_endpoint_at_all_is_a_502_that_names_them(tmp_path: Path) -> None:
    nobody = Hostile(port=reserve_port())
    async with run_relay(tmp_path, nobody, Hostile(port=reserve_port()), **NO_POLL) as relay:
        got = await relay.ask()

    assert got.status in {502, 503}
    assert got.code == "upstream_unreachable"


async def test_a_late_answer_is_never_asked_for_again(tmp_path: Path, upstream: Hostile) -> None:
    upstream.script = stall
    async with run_hostile() as other:
        other.script = stall
        options = NO_POLL | {"relay": {"first_byte_timeout_ms": 200}}
        async with run_relay(tmp_path, upstream, other, **options) as relay:
            got = await relay.ask()
            assert (got.status, got.code) == (504, "upstream_timeout")
            assert await retries(relay) == 0
        assert len(upstream.requests) + len(other.requests) == 1

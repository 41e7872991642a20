"""What a kernel makes of connections that vLLM closes or never accepts: no request is lost for it.

The unit tests state when a request may be sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from support.hostile import Exchange, Hostile, completion
from support.raw_client import chat
from support.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")
Ending = Callable[[Exchange], None]


@pytest.fixture(params=["FIN", "RST"])
def ending(request: pytest.FixtureRequest) -> Ending:
    return Exchange.close if request.param == "FIN" else Exchange.reset


def dies_on_reuse(ending: Ending) -> Any:
    """Answers the first request of a connection and ends the connection on the second."""

    async def script(exchange: Exchange) -> None:
        if exchange.request.number == 1:
            return await completion(exchange)
        await exchange.body()
        return ending(exchange)

    return script


async def retries(relay: Relay) -> float:
    return (await relay.metrics()).total("retries_total")


async def test_a_reused_connection_that_dies_without_a_byte_is_tried_once_more(relay: Relay, ending: Ending) -> None:
    assert (await relay.ask()).status == 200
    relay.upstream.requests.clear()
    relay.upstream.script = dies_on_reuse(ending)
    before = await retries(relay)
    got = await relay.ask(chat("again"), "X-Request-Id: tried-again")

    assert got.status == 200
    first, second = relay.upstream.requests
    assert first.connection is not second.connection
    assert second.request.number == 1
    assert (first.request.body, first.request.headers) == (second.request.body, second.request.headers)
    assert await retries(relay) == before + 1


async def test_no_request_is_lost_when_vllm_closes_idle_connections_at_the_moment_of_reuse(
    relay: Relay, upstream: Hostile
) -> None:
    """uvicorn closes after 5 s; here after 30 ms, with requests that come just then."""
    upstream.idle_close_s = 0.03
    for step in range(40):
        assert (await relay.ask()).status == 200
        await asyncio.sleep(0.027 + step * 0.0002)
    assert len(upstream.requests) >= 40

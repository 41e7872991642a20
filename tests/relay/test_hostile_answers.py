"""An upstream that breaks off, or answers before it has read: what the kernel leaves of its answer for the client."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from support.hostile import STREAM, Exchange, chunk, event, head
from support.raw_client import Cut, chat, post
from support.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOO_LARGE = head("413 Content Too Large", "Content-Length: 2", "Connection: close") + b"{}"


@pytest.mark.parametrize("ending", [Exchange.close, Exchange.reset], ids=["FIN", "RST"])
async def test_a_stream_that_breaks_ends_with_an_error_event_and_is_seen_to_be_cut(relay: Relay, ending: Any) -> None:
    async def script(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM + chunk(event("one")))
        await exchange.hold()

    relay.upstream.script = script
    got = b""
    async with relay.client() as client:
        client.send(post(chat(stream=True)))
        assert (await client.head())[0] == 200
        with pytest.raises(Cut):  # noqa: PT012 - what came before it counts
            async for data in client.chunks():
                got += data
                if got == event("one"):
                    ending(relay.upstream.requests[0])

    said = got.removeprefix(event("one")).strip()
    assert json.loads(said.removeprefix(b"data: "))["error"]["code"] == "upstream_broken"


async def test_an_answer_before_the_body_was_read_reaches_the_client(relay: Relay) -> None:
    """The upstream refuses on the head alone and closes; the client gets that answer and not a broken connection."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(TOO_LARGE)
        exchange.connection.transport.pause_reading()
        await exchange.hold()

    relay.upstream.script = script
    got = await relay.ask(chat("x" * 8_000_000))

    assert (got.status, got.body) == (413, b"{}")


async def test_an_answer_before_the_body_was_read_and_a_reset_is_that_answer_or_a_502(relay: Relay) -> None:
    """The reset may overtake what was written before it."""

    async def script(exchange: Exchange) -> None:
        await exchange.send(TOO_LARGE)
        exchange.close()

    relay.upstream.script = script
    got = await relay.ask(chat("x" * 8_000_000))

    assert got.status in {413, 502}


async def test_a_second_answer_on_an_idle_connection_ends_it_and_answers_nobody(relay: Relay) -> None:
    """At once: without it, the connection would be closed after 3 s."""
    assert (await relay.ask()).status == 200
    connection = relay.upstream.requests[0].connection
    await connection.send(head("200 OK", "Content-Length: 6") + b"forged")
    async with asyncio.timeout(1.0):
        await connection.gone.wait()
    assert b"forged" not in (await relay.ask()).body
    assert relay.upstream.requests[1].connection is not connection

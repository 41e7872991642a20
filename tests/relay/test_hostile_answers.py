"""An upstream that breaks off, or answers before it has read: what the kernel leaves of its answer for the client."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.hostile import STREAM, Exchange, chunk, event
from support.raw_client import Cut, chat, post
from support.relay import Relay

pytestmark = pytest.mark.asyncio(loop_scope="session")


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

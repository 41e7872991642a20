"""Two time limits on a real clock and real sockets; the unit tests state the rules of all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from support.hostile import Hostile, event, stall, stall_in_stream
from support.process import PATIENCE_SECONDS
from support.raw_client import Cut, chat, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hurried_daemon(shared_upstream: Hostile, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    options: Any = {"first_byte_timeout_ms": 2_000, "idle_timeout_ms": 400}
    async with run_relay(tmp_path_factory.mktemp("hurried"), shared_upstream, relay=options) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def hurried(hurried_daemon: Relay, upstream: Hostile) -> AsyncIterator[Relay]:
    """The generation is over at the end."""
    yield hurried_daemon
    async with asyncio.timeout(PATIENCE_SECONDS):
        await upstream.requests[0].connection.gone.wait()


async def test_no_byte_in_time_is_a_504(hurried: Relay) -> None:
    hurried.upstream.script = stall
    got = await hurried.ask()

    assert (got.status, got.code) == (504, "upstream_timeout")


async def test_a_stream_that_falls_silent_ends_with_an_error_event(hurried: Relay) -> None:
    hurried.upstream.script = stall_in_stream
    got = b""
    async with hurried.client() as client:
        client.send(post(chat(stream=True)))
        assert (await client.head())[0] == 200
        with pytest.raises(Cut):  # noqa: PT012 - what came before it counts
            async for data in client.chunks():
                got += data

    assert got.startswith(event("one"))
    assert json.loads(got.rpartition(b"\n\ndata: ")[2])["error"]["code"] == "upstream_timeout"

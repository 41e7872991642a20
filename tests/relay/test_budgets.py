"""Budgets of tokens on real sockets: what a client can do to use more than its key may."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from support.client_keys import bearer, line
from support.hostile import DONE, STREAM, Exchange, Hostile, Script, chunk, event, head, sends
from support.metrics import until
from support.raw_client import chat, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

A_MINUTE = 20_000
"""The tokens of each key."""
UNSAID = 1024
"""What is reserved for an answer whose length the client does not say."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def budgeted_daemon(shared_upstream: Hostile, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Relay]:
    folder = tmp_path_factory.mktemp("budgets")
    keys = folder / "keys.jsonl"
    keys.touch(0o600)
    keys.write_bytes(b"".join(line(name, tokens_per_minute=A_MINUTE) for name in ("ann", "bob", "cid", "dan")))
    server = {"max_in_flight": 1000, "max_in_flight_per_client": 1000}
    async with run_relay(folder, shared_upstream, server=server, access={"keys_file": str(keys)}) as relay:
        yield relay


@pytest_asyncio.fixture(loop_scope="session")
async def budgeted(budgeted_daemon: Relay, upstream: Hostile) -> AsyncIterator[Relay]:
    yield budgeted_daemon
    await until(budgeted_daemon.daemon, "requests_in_flight", 0)
    assert upstream.malformed == []


def answering(body: bytes, *, chunked: bool) -> Script:
    """A whole answer, as vLLM writes it or as a proxy before it may."""
    kind = "Content-Type: application/json"
    if not chunked:
        return sends(head("200 OK", kind, f"Content-Length: {len(body)}"), body)
    pieces = [chunk(body[at : at + 999]) for at in range(0, len(body), 999)]
    return sends(head("200 OK", kind, "Transfer-Encoding: chunked"), *pieces, chunk(b"") + b"\r\n")


@pytest.mark.parametrize(("key", "chunked"), [("ann", False), ("bob", True)])
async def test_what_a_client_has_written_behind_the_usage_gives_it_nothing_back(
    budgeted: Relay, key: str, chunked: bool
) -> None:
    """As `return_token_ids` does, and a long `user` with a usage of its own in it."""
    forged = json.dumps({"usage": {"prompt_tokens": 0, "completion_tokens": 0}})
    answer = {
        "choices": [],
        "usage": {"prompt_tokens": 100, "completion_tokens": 9900},
        "prompt_token_ids": list(range(20_000)),
        "metadata": {"usage": {"prompt_tokens": 0, "completion_tokens": 0}, "text": forged},
    }
    budgeted.upstream.script = answering(json.dumps(answer).encode(), chunked=chunked)
    asked = chat(max_tokens=9000, return_token_ids=True)
    answers = [await budgeted.ask(asked, bearer(key)) for _ in range(3)]
    assert [got.status for got in answers] == [200, 200, 429]
    assert answers[2].code == "rate_limit_exceeded"
    assert 20 <= int(answers[2].value("Retry-After") or 0) <= 60
    assert len(budgeted.upstream.requests) == 2


async def test_a_response_in_the_background_is_refused_however_it_is_asked_for(budgeted: Relay) -> None:
    for value in (True, 1, "true", "yes"):
        got = await budgeted.ask(
            {"model": "base", "input": "x", "background": value}, bearer("cid"), path="/v1/responses"
        )
        assert (got.status, got.code) == (403, "usage_unknown"), value
    assert not budgeted.upstream.requests


async def test_of_300_streams_of_unsaid_length_run_as_many_as_have_room_and_what_they_use_is_owed(
    budgeted: Relay,
) -> None:
    """None of those that run is cut; the others are told when to come again, and nothing of them reaches vLLM."""
    go_on = asyncio.Event()

    async def stream(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM + chunk(event("word") * 2 * UNSAID + event("pause")))
        await go_on.wait()
        await exchange.send(chunk(DONE) + chunk(b"") + b"\r\n")

    budgeted.upstream.script = stream
    sent = post(chat(stream=True), bearer("dan"))
    prompt = len(sent.partition(b"\r\n\r\n")[2]) // 4
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(budgeted.client()) for _ in range(300)]
        for client in clients:
            client.send(sent)
        running = []
        for client in clients:
            status, headers = await client.head()
            if status == 200:
                running.append(client)
                await client.until(b"pause")
            else:
                assert status == 429
                assert int(dict(headers)["Retry-After"]) >= 1
        room = A_MINUTE // (prompt + UNSAID)
        assert room <= len(running) <= room + 10, "333 tokens drain in a second"
        # All have produced twice what was reserved, so that a minute's tokens are owed: nobody begins.
        late = await budgeted.ask(chat(max_tokens=1), bearer("dan"))
        assert (late.status, late.code) == (429, "rate_limit_exceeded")
        assert int(late.value("Retry-After") or 0) >= 30
        go_on.set()
        for client in running:
            assert (await client.until(b"0\r\n\r\n")).count(DONE) == 1
        assert len(budgeted.upstream.requests) == len(running)

"""Endpoints whose health changes on real sockets: one that fails its probes, and one that is killed under load."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.hostile import DONE, STREAM, Exchange, Hostile, chunk, completion, event, run_hostile, whole
from support.metrics import until
from support.process import eventually
from support.raw_client import Cut, chat
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAST: Any = {"adapters": {"poll_interval_ms": 0}}


@asynccontextmanager
async def pair(folder: Path, upstream: Hostile, **options: Any) -> AsyncIterator[tuple[Relay, Hostile, Hostile]]:
    """A daemon before two upstreams."""
    async with run_hostile() as other, run_relay(folder, upstream, other, **FAST | options) as relay:
        yield relay, upstream, other


async def test_an_endpoint_whose_health_is_not_200_is_left_alone_until_it_is(tmp_path: Path, upstream: Hostile) -> None:
    async with pair(tmp_path, upstream, relay={"health_interval_ms": 20}) as (relay, sick, _):
        sick.health = whole(b"", "503 Service Unavailable")
        await until(relay.daemon, "endpoint_reachable", 0, endpoint="a")
        assert {(await relay.ask()).status for _ in range(20)} == {200}
        assert sick.requests == []
        sick.health = whole(b"")
        await until(relay.daemon, "endpoint_reachable", 1, endpoint="a")
        await asyncio.gather(*(relay.ask() for _ in range(20)))
        assert sick.requests


async def test_one_of_two_is_killed_and_restarted_under_load(tmp_path: Path, upstream: Hostile) -> None:
    """Only what was at the killed one fails; its streams end with an error event; and it is used again."""
    outcomes: dict[str, str] = {}
    stop = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.body()
        if exchange.request.json.get("stream"):
            await exchange.send(STREAM)
            for _ in range(5):
                await exchange.send(chunk(event("x")))
                await asyncio.sleep(0.01)
            await exchange.send(chunk(DONE) + chunk(b"") + b"\r\n")
        else:
            await asyncio.sleep(0.01)
            await completion(exchange)

    async def load(worker: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            request_id = f"{worker}-{number}"
            outcomes[request_id] = await _outcome(relay, request_id, stream=number % 2 == 0)

    async with pair(tmp_path, upstream) as (relay, killed, spared):
        killed.script = spared.script = slow
        workers = [asyncio.create_task(load(worker)) for worker in range(8)]
        await killed.arrived(50)
        await killed.die()
        before, there = len(killed.requests), len(spared.requests)
        await spared.arrived(there + 200)
        await killed.listen()
        await killed.arrived(before + 50)
        stop.set()
        await asyncio.gather(*workers)
        await until(relay.daemon, "requests_in_flight", 0)
        await eventually(lambda: len(sent_to(relay)) == len(outcomes), "a line for each request")

    failed = {request_id for request_id, outcome in outcomes.items() if outcome != "whole"}
    assert {sent_to(relay)[request_id] for request_id in failed} <= {"a"}, "requests failed that went to the other one"
    assert {outcomes[request_id] for request_id in failed} <= {"502", "error event"}
    assert len(failed) <= len(workers)
    assert len(outcomes) > 250


def sent_to(relay: Relay) -> dict[str, str]:
    """The endpoint of each request that has ended, as the log says."""
    lines = (line for line in relay.daemon.log_lines() if line["event"] == "routing_decision")
    return {line["request_id"]: line["endpoint"] for line in lines}


async def _outcome(relay: Relay, request_id: str, *, stream: bool) -> str:
    """`whole`; `error event`: a stream that says that it is broken, and why; or the status of an error."""
    try:
        got = await relay.ask(chat(stream=stream), f"X-Request-Id: {request_id}")
    except Cut as cut:
        last = cut.got.rstrip().split(b"\n\n")[-1]
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_broken"
        return "error event"
    return "whole" if got.status == 200 else str(got.status)

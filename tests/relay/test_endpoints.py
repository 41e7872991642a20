"""Which endpoint gets a request: the least in flight by weight among the healthy; and who is healthy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from pointsman.config.model import Endpoint, RelayOptions
from pointsman.upstream import client as ask
from pointsman.upstream.endpoint_state import EndpointState
from support.hostile import DONE, STREAM, Exchange, Hostile, Script, chunk, completion, event, run_hostile, stall, whole
from support.metrics import until
from support.raw_client import Cut, Got, chat, post
from support.relay import Relay, run_relay

pytestmark = pytest.mark.asyncio(loop_scope="session")

FAST: Any = {"adapters": {"poll_interval_ms": 0}}


@asynccontextmanager
async def pair(folder: Path, upstream: Hostile, **options: Any) -> AsyncIterator[tuple[Relay, Hostile, Hostile]]:
    """A daemon before two upstreams."""
    async with run_hostile() as other, run_relay(folder, upstream, other, **FAST | options) as relay:
        yield relay, upstream, other


async def asked(relay: Relay, count: int, **fields: Any) -> list[Got]:
    """One after the other."""
    return [await relay.ask(chat(**fields)) for _ in range(count)]


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, within_s: float = 30.0) -> None:
    try:
        async with asyncio.timeout(within_s):
            while not await holds():  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None


async def test_streams_that_are_held_are_spread_evenly(tmp_path: Path, upstream: Hostile) -> None:
    async with pair(tmp_path, upstream) as (relay, one, two):
        one.script = two.script = stall
        tasks = [asyncio.create_task(relay.ask(chat(stream=True))) for _ in range(20)]
        await eventually(lambda: _count(one, two, 20), "all arrive")
        assert len(one.requests) == len(two.requests) == 10
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _count(one: Hostile, two: Hostile, count: int) -> bool:
    return len(one.requests) + len(two.requests) == count


async def test_a_weight_is_a_share_of_what_is_in_flight(tmp_path: Path, upstream: Hostile) -> None:
    async with pair(tmp_path, upstream, weights={"a": 3}) as (relay, one, two):
        one.script = two.script = stall
        tasks = [asyncio.create_task(relay.ask()) for _ in range(20)]
        await eventually(lambda: _count(one, two, 20), "all arrive")
        assert (len(one.requests), len(two.requests)) == (15, 5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _answers(status: str) -> Script:
    return whole(b'{"error": {"message": "no", "type": "x", "param": null, "code": null}}', status)


async def _is_avoided(relay: Relay, avoided: Hostile) -> bool:
    """Twenty requests in a row that it does not get."""
    before = len(avoided.requests)
    await asked(relay, 20)
    return len(avoided.requests) == before


async def _is_used(relay: Relay, used: Hostile) -> bool:
    before = len(used.requests)
    await asked(relay, 1)
    return len(used.requests) > before


@pytest.mark.parametrize("status", ["502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout"])
async def test_an_endpoint_that_answers_only_with_5xx_of_a_gateway_is_left_alone_and_comes_back(
    tmp_path: Path, upstream: Hostile, status: str
) -> None:
    async with pair(tmp_path, upstream) as (relay, sick, well):
        sick.script = _answers(status)
        await eventually(lambda: _is_avoided(relay, sick), "the sick one is left alone")
        assert {got.status for got in await asked(relay, 10)} == {200}
        sick.script = completion
        await eventually(lambda: _is_used(relay, sick), "the one that is well again is used")
        assert well.requests


@pytest.mark.parametrize(
    "status", ["400 Bad Request", "404 Not Found", "429 Too Many Requests", "500 Internal Server Error"]
)
async def test_what_one_client_can_cause_never_takes_an_endpoint_away_from_all(
    tmp_path: Path, upstream: Hostile, status: str
) -> None:
    """A relayed 500 is among it: one bad input can cause it at will."""
    async with pair(tmp_path, upstream) as (relay, one, two):
        one.script = two.script = _answers(status)
        got = await asked(relay, 100)
        assert {answer.status for answer in got} == {int(status[:3])}
        before = len(one.requests)
        await asked(relay, 20)
        assert len(one.requests) > before


async def test_clients_that_leave_never_take_an_endpoint_away(tmp_path: Path, upstream: Hostile) -> None:
    async with pair(tmp_path, upstream) as (relay, one, two):
        one.script = two.script = stall
        for count in range(1, 41):
            async with relay.client() as client:
                client.send(post(chat()))
                await eventually(lambda count=count: _count(one, two, count), "it arrives")  # type: ignore[misc]
                client.leave()
        await until(relay.daemon, "requests_in_flight", 0)
        one.script = two.script = completion
        assert {got.status for got in await asked(relay, 20)} == {200}
        assert len(one.requests) > 0 < len(two.requests)


async def test_an_endpoint_that_resets_every_request_is_left_alone(tmp_path: Path, upstream: Hostile) -> None:
    async def resets(exchange: Exchange) -> None:
        await exchange.body()
        exchange.reset()

    async with pair(tmp_path, upstream) as (relay, sick, _):
        sick.script = resets
        await eventually(lambda: _is_avoided(relay, sick), "the sick one is left alone")
        sick.script = completion
        await eventually(lambda: _is_used(relay, sick), "the one that is well again is used")


async def test_an_endpoint_that_never_answers_is_left_alone_though_its_health_is_200(
    tmp_path: Path, upstream: Hostile
) -> None:
    """vLLM's front end goes on to say 200 when its engine hangs."""
    async with pair(tmp_path, upstream, relay={"first_byte_timeout_ms": 100}) as (relay, sick, _):
        sick.script = stall
        await eventually(lambda: _is_avoided(relay, sick), "the sick one is left alone")


async def test_an_endpoint_that_answers_with_error_events_is_left_alone(tmp_path: Path, upstream: Hostile) -> None:
    """So vLLM reports a dead engine within a stream: the status was 200 already."""

    async def engine_dead(exchange: Exchange) -> None:
        await exchange.body()
        error = b'data: {"error": {"message": "EngineCore", "type": "InternalServerError", "code": 500}}\n\n'
        await exchange.send(STREAM + chunk(error) + chunk(DONE) + chunk(b"") + b"\r\n")

    async def avoided() -> bool:
        before = len(sick.requests)
        await asked(relay, 20, stream=True)
        return len(sick.requests) == before

    async with pair(tmp_path, upstream) as (relay, sick, _):
        sick.script = engine_dead
        await eventually(avoided, "the sick one is left alone")


async def test_an_endpoint_whose_health_is_not_200_is_left_alone_until_it_is(tmp_path: Path, upstream: Hostile) -> None:
    async with pair(tmp_path, upstream) as (relay, sick, _):
        sick.health = whole(b"", "503 Service Unavailable")
        await eventually(lambda: _is_avoided(relay, sick), "the sick one is left alone")
        sick.health = whole(b"")
        await eventually(lambda: _is_used(relay, sick), "the one that is well again is used")


async def _probed(probes: Callable[[], int]) -> bool:
    return probes() >= 20


async def test_one_health_probe_that_fails_is_none(tmp_path: Path) -> None:
    """Two in a row take it away, and are said to. No other daemon's probe is among those that are counted."""
    probes = 0

    async def every_other(exchange: Exchange) -> None:
        nonlocal probes
        probes += 1
        await whole(b"", "503 Service Unavailable" if probes % 2 else "200 OK")(exchange)

    async with run_hostile() as hiccups, pair(tmp_path, hiccups, relay={"health_interval_ms": 20}) as (relay, *_):
        hiccups.health = every_other
        await eventually(lambda: _probed(lambda: probes), "it is probed")
        assert not [line for line in relay.daemon.log_lines() if line.get("state", "").startswith("down")]
        hiccups.health = whole(b"", "503 Service Unavailable")
        await until(relay.daemon, "endpoint_reachable", 0, endpoint="a")


async def test_where_all_are_sick_the_client_gets_an_error_and_no_hang(tmp_path: Path, upstream: Hostile) -> None:
    async with pair(tmp_path, upstream) as (relay, one, two):
        await one.die()
        await two.die()
        try:
            for got in await asked(relay, 30):
                assert got.status in {502, 503}
                assert got.json["error"]["message"]
        finally:
            await one.listen()
        await eventually(lambda: _is_used(relay, one), "the one that is well again is used")


# --- one of two is killed and restarted under load ----------------------------------------------------------------


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
        await spared.arrived(there + 200, within_s=60)
        await killed.listen()
        await killed.arrived(before + 50, within_s=60)
        stop.set()
        await asyncio.gather(*workers)
        await until(relay.daemon, "requests_in_flight", 0)

    at_the_killed = {exchange.request.id for exchange in killed.requests[:before]}
    failed = {request_id for request_id, outcome in outcomes.items() if outcome != "whole"}
    assert failed <= at_the_killed, "requests failed that never were at the killed one"
    assert {outcomes[request_id] for request_id in failed} <= {"502", "error event"}
    assert len(failed) <= len(workers)
    assert len(outcomes) > 250


async def _outcome(relay: Relay, request_id: str, *, stream: bool) -> str:
    """`whole`; `error event`: a stream that says that it is broken, and why; or the status of an error."""
    try:
        got = await relay.ask(chat(stream=stream), f"X-Request-Id: {request_id}")
    except Cut as cut:
        last = cut.got.rstrip().split(b"\n\n")[-1]
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "upstream_broken"
        return "error event"
    return "whole" if got.status == 200 else str(got.status)


async def test_streams_of_a_killed_upstream_end_with_an_error_event(tmp_path: Path, upstream: Hostile) -> None:
    """Never with a silent end, which a client would take for a whole answer."""

    async def endless(exchange: Exchange) -> None:
        await exchange.body()
        await exchange.send(STREAM)
        while True:
            await exchange.send(chunk(event("x")))
            await asyncio.sleep(0.01)

    async with pair(tmp_path, upstream) as (relay, killed, spared):
        killed.script = spared.script = endless
        tasks = [asyncio.create_task(_outcome(relay, f"killed-{number}", stream=True)) for number in range(10)]
        await eventually(lambda: _count(killed, spared, 10), "all arrive")
        await killed.die()
        done, _ = await asyncio.wait(tasks, timeout=5)
        assert [task.result() for task in done] == ["error event"] * len(killed.requests)
        await spared.die()
        await asyncio.wait(tasks)
        await killed.listen()


async def test_no_request_gets_the_connection_of_a_probe(upstream: Hostile) -> None:
    """A probe closes its own once it has read its answer; a request that got it in between would hang for ever."""
    endpoint = Endpoint(name="a", address="127.0.0.1", port=upstream.port)
    probed = EndpointState(endpoint, RelayOptions())
    probe = asyncio.create_task(ask.health(probed, b""))
    while not probe.done():
        assert probed.pool.take() is None
        await asyncio.sleep(0)
    assert await probe is None

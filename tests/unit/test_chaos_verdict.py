"""Each thing that a chaos run must find is found, and a run in which nothing was lost has no faults."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import random
from dataclasses import replace
from typing import Any

import pytest
from chaos.upstream import Answer, good
from chaos.verdict import (
    Asked,
    Body,
    Evidence,
    Ran,
    Sample,
    answers,
    counts,
    grown,
    judge,
    leaked,
    left_over,
    lingering,
    never_ended,
    outcomes,
    outlived,
    repeats,
    strangers,
    troubles,
)

from support.hostile import Exchange, run_hostile

BODY = Body(10, 7)
ASKED = Asked("a", "plain", status=200, body=BODY)
RAN = Ran("a", "good", began=1.0, ended=2.0, status=200, whole=True, body=BODY)
LEFT = Asked("a", "leaves", end="left", left=10.0)
STILL = {f"pointsman_{name}[]": 0.0 for name in ("requests_in_flight", "connections", "classifier_queue")} | {
    "pointsman_endpoint_in_flight[('endpoint', 'a')]": 0.0
}
FLAT = Sample(100 * 2**20, 20)


def line(status: int = 200, at: float = 10.0, **fields: Any) -> dict[str, Any]:
    """An outcome, logged at a time of the wall clock."""
    stamp = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds")
    return {"ts": stamp, "level": "info", "event": "request", "request_id": "a", "status": status, **fields}


def complaints(asked: Asked, *lines: dict[str, Any]) -> int:
    return len(outcomes([asked], {"a": lines}, 0.0))


def evidence() -> Evidence:
    return Evidence([ASKED], [RAN], [line()], 0.0, STILL, 0, 1, [FLAT] * 8, FLAT, FLAT)


def test_a_run_without_loss_has_no_faults() -> None:
    assert judge(evidence())["faults"] == []


@pytest.mark.parametrize(
    "broken",
    [
        {"lines": [], "counted": 0},
        {"ran": [replace(RAN, whole=False)]},
        {"ran": [replace(RAN, began=0.0, status=None, alone=False), RAN]},
        {"ran": [RAN, replace(RAN, id="b", ended=None)]},
        {"asked": [replace(LEFT, left=1.5)], "lines": [line(499)]},
        {"gauges": STILL | {"pointsman_connections[]": 1.0}},
        {"refused": 1},
        {"counted": 2},
        {"samples": [FLAT] * 6 + [replace(FLAT, resident=2**30)] * 2},
        {"end": replace(FLAT, descriptors=40)},
        {"lines": [line(), line(level="error", event="internal_error")]},
        {"lines": [line(), line(request_id="b")], "counted": 2},
        {"malformed": ["request line b'x'"]},
    ],
)
def test_each_kind_of_loss_is_a_fault_of_the_run(broken: dict[str, Any]) -> None:
    assert len(judge(replace(evidence(), **broken))["faults"]) == 1


def test_a_request_has_exactly_one_outcome() -> None:
    assert complaints(ASKED, line()) == 0
    assert complaints(ASKED) == 1
    assert complaints(ASKED, line(), line()) == 1


def test_the_outcome_is_what_the_client_saw() -> None:
    assert complaints(ASKED, line(502)) == 1
    assert complaints(replace(ASKED, end="cut"), line()) == 0
    assert complaints(replace(ASKED, end="cut", status=None), line()) == 1
    assert complaints(replace(ASKED, end="hung"), line()) == 1


def test_a_client_that_left_is_logged_as_such_unless_it_was_answered_before() -> None:
    assert complaints(LEFT, line(499, at=50.0)) == 0
    assert complaints(LEFT, line(200, at=10.1)) == 0
    assert complaints(LEFT, line(200, at=11.0)) == 1
    assert complaints(replace(LEFT, status=200), line(502)) == 1


def test_what_was_sent_ahead_and_never_answered_left_in_the_queue() -> None:
    ahead = replace(ASKED, end="unanswered", status=None)
    assert complaints(ahead, line(499, left_in="queue")) == 0
    assert complaints(ahead, line(499, left_in="head")) == 1
    assert complaints(ahead, line(200)) == 1


def test_what_never_was_a_request_has_no_outcome() -> None:
    assert complaints(replace(LEFT, expected="nothing")) == 0
    assert complaints(replace(LEFT, expected="nothing"), line(499)) == 1
    assert complaints(replace(LEFT, expected="outcome or nothing")) == 0
    assert complaints(replace(ASKED, expected="refused unread", status=400)) == 0


def test_an_outcome_of_a_request_that_nobody_made() -> None:
    assert strangers([ASKED], {"a": [line()], "b": [line()]})
    assert not strangers([ASKED], {"a": [line()]})


@pytest.mark.parametrize(
    ("asked", "ran", "faults"),
    [
        (ASKED, RAN, 0),
        (ASKED, replace(RAN, whole=False), 1),
        (replace(ASKED, body=Body(9, 7)), RAN, 1),
        (replace(ASKED, end="cut"), RAN, 1),
        (replace(ASKED, end="cut"), replace(RAN, torn=True), 0),
        (replace(ASKED, end="cut"), replace(RAN, whole=False), 0),
        (replace(ASKED, status=502, code="upstream_broken"), replace(RAN, status=None, whole=False), 0),
        (replace(ASKED, status=502, code="upstream_broken"), RAN, 1),
        (replace(ASKED, status=504, code="upstream_timeout"), RAN, 0),
        (replace(ASKED, status=502), replace(RAN, status=None, whole=False), 1),
    ],
)
def test_an_answer_is_the_upstreams_to_the_byte_or_visibly_broken(asked: Asked, ran: Ran, faults: int) -> None:
    assert len(answers([asked], [ran])) == faults


def test_an_answer_comes_from_somewhere() -> None:
    assert answers([ASKED], [])
    assert not answers([replace(ASKED, status=503, code="overloaded")], [])


def test_a_request_is_sent_again_only_from_a_reused_connection_without_a_byte_of_an_answer() -> None:
    first = replace(RAN, began=0.0, status=None, whole=False, alone=False)
    logged = {"a": [line(retried=[{"why": "reused"}])]}
    assert not repeats([first, RAN], logged)
    assert repeats([first, RAN], {"a": [line()]})
    assert repeats([replace(first, status=200), RAN], logged)
    assert repeats([replace(first, alone=True), RAN], logged)


def test_a_generation_ends_with_its_client() -> None:
    assert outlived([LEFT], [replace(RAN, ended=10.5)]) == [0.5]
    assert outlived([LEFT], [replace(RAN, ended=9.0)]) == []
    assert outlived([ASKED], [replace(RAN, ended=10.5)]) == []
    assert never_ended([replace(RAN, ended=None)])
    assert not never_ended([RAN])


def test_few_generations_are_late_and_none_by_much() -> None:
    assert not lingering([0.01] * 99 + [0.5])
    assert len(lingering([0.01] * 99 + [1.5])) == 1
    assert len(lingering([0.01] * 90 + [0.2] * 10)) == 1
    assert not lingering([])


def test_every_gauge_is_back_to_zero_and_there() -> None:
    assert not left_over(STILL | {"pointsman_endpoint_up[]": 1.0})
    assert left_over(STILL | {"pointsman_endpoint_in_flight[('endpoint', 'a')]": -1.0})
    assert left_over({key: value for key, value in STILL.items() if "queue" not in key})


def test_the_metrics_count_what_there_was() -> None:
    malformed = replace(ASKED, expected="refused unread", status=400)
    assert not counts([malformed], {}, refused=1, counted=0)
    assert counts([malformed], {}, refused=0, counted=0)
    assert counts([ASKED], {"a": [line()]}, refused=0, counted=2)


def test_memory_is_flat_in_the_second_half_and_descriptors_are_given_back() -> None:
    warming = [Sample(size * 2**20, 20) for size in (10, 50, 90, 100, 100, 101, 100, 101)]
    assert not grown(warming)
    assert grown([*warming[:6], Sample(120 * 2**20, 20), Sample(130 * 2**20, 20)])
    assert not leaked(FLAT, replace(FLAT, descriptors=25))
    assert leaked(FLAT, replace(FLAT, descriptors=40))


@pytest.mark.parametrize(
    "bad",
    [
        {"event": "internal_error", "level": "error"},
        {"event": "library", "level": "warning", "logger": "asyncio"},
        {"event": "x", "level": "info", "message": "Traceback (most recent call last)"},
    ],
)
def test_an_exception_that_nobody_caught_is_in_the_log(bad: dict[str, Any]) -> None:
    assert troubles([bad])
    assert not troubles([line()])


async def test_an_upstream_that_died_begins_no_answer() -> None:
    """What it writes before it hears of its own end reaches nobody, and is no answer that was lost on the way."""
    ran: asyncio.Future[Ran] = asyncio.get_running_loop().create_future()

    async def dies(exchange: Exchange) -> None:
        answer = Answer(exchange, random.Random(0), {}, "good")  # noqa: S311 - no secret
        exchange.reset()
        with contextlib.suppress(ConnectionError):
            await good(answer)
        ran.set_result(answer.record())

    async with run_hostile() as hostile:
        hostile.script = dies
        _, writer = await asyncio.open_connection("127.0.0.1", hostile.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        found = await asyncio.wait_for(ran, 5)
        writer.close()
    assert (found.status, found.whole) == (None, False)

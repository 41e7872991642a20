"""Each thing that a chaos run must find is found, and a run in which nothing was lost has no faults."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import random
import zlib
from dataclasses import replace
from typing import Any

import pytest
from chaos.answer import AnswerInProgress
from chaos.behaviours import good
from chaos.evidence import (
    ChaosEvidence,
    ClientRequest,
    IdentityHeaders,
    ResourceSample,
    Ticks,
    UpstreamRequest,
    body_of,
)
from chaos.prompt import Prompt, ReportedDecision
from chaos.rules.outcomes import outcomes
from chaos.verdict import figures, judge

from support.hostile import Exchange, run_hostile
from support.process import PATIENCE_SECONDS

SENT = b"an answer for nonce0123456789ab"
PROMPT = Prompt("nonce0123456789ab", "base", 3)
BASE = ReportedDecision("base", "explicit_model")
ASKED = ClientRequest(
    "a",
    "plain",
    prompt=PROMPT,
    wanted=BASE,
    status=200,
    shown=IdentityHeaders("a", BASE, "nonce0123456789ab"),
    body=body_of(SENT),
    echoed=frozenset(["nonce0123456789ab"]),
)
RAN = UpstreamRequest(
    "a", "good", began=1.0, ended=2.0, prompt=PROMPT, status=200, whole=True, deflated=zlib.compress(SENT), alone=False
)
LEFT = ClientRequest("a", "leaves", end="left", prompt=PROMPT, wanted=BASE, left=10.0)
OURS = replace(ASKED, status=503, code="overloaded", shown=IdentityHeaders("a"), echoed=frozenset())
STILL = {f"pointsman_{name}[]": 0.0 for name in ("requests_in_flight", "connections", "classifier_queue")} | {
    "pointsman_endpoint_in_flight[('endpoint', 'a')]": 0.0
}
FLAT = ResourceSample(100 * 2**20, 20)


def line(status: int = 200, at: float = 10.0, **fields: Any) -> dict[str, Any]:
    """An outcome, logged at a time of the wall clock."""
    stamp = datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat(timespec="milliseconds")
    decision = {"selected_model": "base", "reason": "explicit_model"}
    return {"ts": stamp, "level": "info", "event": "request", "request_id": "a", "status": status} | decision | fields


def evidence() -> ChaosEvidence:
    return ChaosEvidence([ASKED], [RAN], [line()], 0.0, STILL, 0, 1, [FLAT] * 8, FLAT, FLAT)


def test_a_run_without_loss_has_no_faults() -> None:
    assert judge(evidence()) == []
    assert figures(evidence())["requests"] == 1


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("outcome", {"lines": [], "counted": 0, "ran": [], "asked": [OURS]}),
        ("stranger", {"lines": [line(), line(request_id="b")], "counted": 2}),
        ("answer", {"ran": [replace(RAN, whole=False)]}),
        ("prefix", {"asked": [replace(ASKED, end="left", left=9.9, body=body_of(b"An"))]}),
        ("echo", {"asked": [replace(ASKED, echoed=frozenset())]}),
        ("headers", {"asked": [replace(ASKED, shown=IdentityHeaders("b", BASE))]}),
        ("orphan", {"ran": [RAN, replace(RAN, id="b")]}),
        ("prompt", {"ran": [replace(RAN, prompt=PROMPT._replace(digest=4))]}),
        ("adapter", {"ran": [replace(RAN, prompt=PROMPT._replace(model="law-lora"))]}),
        ("repeat", {"ran": [replace(RAN, began=0.0, status=None), RAN]}),
        ("running", {"ran": [replace(RAN, ended=None)]}),
        ("late", {"asked": [replace(LEFT, left=1.5)], "lines": [line(499)]}),
        ("gauge", {"gauges": STILL | {"pointsman_connections[]": 1.0}}),
        ("count", {"refused": 1}),
        ("count", {"counted": 2}),
        ("memory", {"samples": [FLAT] * 6 + [replace(FLAT, resident=2**30)] * 2}),
        ("descriptors", {"end": replace(FLAT, descriptors=40)}),
        ("log", {"lines": [line(), line(level="error", event="internal_error")]}),
        ("malformed", {"malformed": ["request line b'x'"]}),
    ],
)
def test_each_kind_of_loss_is_a_fault_of_the_run(rule: str, broken: dict[str, Any]) -> None:
    assert [fault.rule for fault in judge(replace(evidence(), **broken))] == [rule]


CUT, AHEAD = replace(ASKED, end="cut"), replace(ASKED, end="unanswered", status=None)


@pytest.mark.parametrize(
    ("asked", "lines", "complaints"),
    [
        pytest.param(ASKED, [line()], 0, id="one outcome"),
        pytest.param(ASKED, [], 1, id="none"),
        pytest.param(ASKED, [line(), line()], 1, id="two"),
        pytest.param(ASKED, [line(502)], 1, id="not what the client saw"),
        pytest.param(CUT, [line()], 0, id="what was cut begins as it was answered"),
        pytest.param(replace(CUT, status=None), [line()], 1, id="an answer of which nothing came"),
        pytest.param(replace(CUT, expected="outcome or nothing", status=None), [], 1, id="no answer and no outcome"),
        pytest.param(replace(ASKED, end="hung"), [line()], 1, id="a client that waited in vain"),
        pytest.param(LEFT, [line(499, at=50.0)], 0, id="a client that left is logged as such"),
        pytest.param(LEFT, [line(200, at=10.1)], 0, id="unless it was answered before"),
        pytest.param(LEFT, [line(200, at=11.0)], 1, id="but not a second later"),
        pytest.param(replace(LEFT, status=200), [line(502)], 1, id="nor by another answer than it saw"),
        pytest.param(AHEAD, [line(499, left_in="queue")], 0, id="what was sent ahead left in the queue"),
        pytest.param(AHEAD, [line(499, left_in="head")], 1, id="nowhere else"),
        pytest.param(AHEAD, [line(200)], 1, id="and was not answered"),
        pytest.param(replace(LEFT, expected="nothing"), [], 0, id="what never was a request has no outcome"),
        pytest.param(replace(LEFT, expected="nothing"), [line(499)], 1, id="though it has a line"),
        pytest.param(replace(LEFT, expected="outcome or nothing"), [], 0, id="one that may have none"),
        pytest.param(replace(ASKED, expected="refused unread", status=400), [], 0, id="one that is refused unread"),
    ],
)
def test_the_outcome_of_a_request_is_what_its_client_saw(
    asked: ClientRequest, lines: list[dict[str, Any]], complaints: int
) -> None:
    assert len(outcomes([asked], {"a": lines}, 0.0, Ticks())) == complaints


def test_an_answer_is_late_only_while_the_daemon_has_a_core() -> None:
    starved = Ticks()
    for at, waited in ((9.0, 0.0), (12.0, 0.9)):
        starved.add(at, waited)
    assert not outcomes([LEFT], {"a": [line(200, at=11.0)]}, 0.0, starved)


async def test_an_upstream_that_died_begins_no_answer() -> None:
    """What it writes before it hears of its own end reaches nobody, and is no answer that was lost on the way."""
    ran: asyncio.Future[UpstreamRequest] = asyncio.get_running_loop().create_future()

    async def dies(exchange: Exchange) -> None:
        answer = AnswerInProgress(exchange, random.Random(0), {}, "good")  # noqa: S311 - no secret
        exchange.reset()
        with contextlib.suppress(ConnectionError):
            await good(answer)
        ran.set_result(answer.record())

    async with run_hostile() as hostile:
        hostile.script = dies
        _, writer = await asyncio.open_connection("127.0.0.1", hostile.port)
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        found = await asyncio.wait_for(ran, PATIENCE_SECONDS)
        writer.close()
    assert (found.status, found.whole) == (None, False)

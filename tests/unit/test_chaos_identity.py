"""Chaos: each answer, prompt and decision is the one of its own client, or the verdict has a fault of that rule."""

from __future__ import annotations

import random
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from chaos import prompt
from chaos.evidence import BrokenRule, ClientRequest, IdentityHeaders, UpstreamRequest, body_of
from chaos.prompt import Prompt, ReportedDecision
from chaos.rules.answers import answers, echoes, headers
from chaos.rules.runs import adapters, repeats

SENT = b"an answer for nonce0123456789ab"
PROMPT = Prompt("nonce0123456789ab", "auto", 3)
LAW = ReportedDecision("law-lora", "classified", "law")
SHOWN = IdentityHeaders("a", LAW, "nonce0123456789ab")
ASKED = ClientRequest(
    "a",
    "plain",
    prompt=PROMPT,
    wanted=LAW,
    status=200,
    shown=SHOWN,
    body=body_of(SENT),
    echoed=frozenset(["nonce0123456789ab"]),
)
RAN = UpstreamRequest(
    "a",
    "good",
    began=1.0,
    ended=2.0,
    prompt=Prompt("nonce0123456789ab", "law-lora", 3),
    status=200,
    whole=True,
    deflated=zlib.compress(SENT),
)
OURS: dict[str, Any] = {"status": 502, "code": "upstream_broken"}
UNSENT: dict[str, Any] = {"status": None, "whole": False, "deflated": zlib.compress(b"")}


def line(model: str = "law-lora", reason: str = "classified", category: str | None = "law", **fields: Any) -> Any:
    decision = {"selected_model": model, "reason": reason} | ({"category": category} if category else {})
    return {"event": "routing_decision", "request_id": "a", "status": 200, **decision, **fields}


def rules(faults: Sequence[BrokenRule]) -> list[str]:
    """The rules that were broken, all by the one request that there is."""
    assert {fault.id for fault in faults} <= {"a"}
    return [fault.rule for fault in faults]


@pytest.mark.parametrize(
    ("asked", "ran", "broken"),
    [
        ({}, {}, []),
        ({}, {"whole": False}, ["answer"]),
        ({"body": body_of(SENT[:-1])}, {}, ["answer"]),
        ({"body": body_of(b"An" + SENT[2:])}, {}, ["answer"]),
        ({"end": "cut"}, {}, ["answer"]),
        ({"end": "cut"}, {"torn": True}, []),
        ({"end": "cut"}, {"whole": False}, []),
        (OURS, UNSENT, []),
        (OURS, {}, ["answer"]),
        (OURS, {"torn": True}, []),
        (OURS | {"status": 504, "code": "upstream_timeout"}, {}, []),
        ({"status": 502}, UNSENT, ["answer"]),
    ],
)
def test_an_answer_is_the_upstreams_to_the_byte_or_visibly_broken(
    asked: dict[str, Any], ran: dict[str, Any], broken: list[str]
) -> None:
    assert rules(answers([replace(ASKED, **asked)], [replace(RAN, **ran)])) == broken


@pytest.mark.parametrize("end", ["left", "cut"])
@pytest.mark.parametrize(
    ("body", "broken"),
    [(b"", []), (b"an ans", []), (SENT, []), (b"an Ans", ["prefix"]), (SENT + b"!", ["prefix"]), (b"n", ["prefix"])],
)
def test_what_a_client_got_before_the_end_is_how_the_upstreams_bytes_begin(
    end: Any, body: bytes, broken: list[str]
) -> None:
    asked = replace(ASKED, end=end, body=body_of(body))
    assert rules(answers([asked], [replace(RAN, whole=False)])) == broken


def test_an_answer_that_cannot_know_the_nonce_has_none() -> None:
    silent = replace(ASKED, echoed=frozenset())
    assert not echoes([replace(silent, end="left")], [RAN])
    assert not echoes([silent], [replace(RAN, prompt=None)])
    assert not echoes([replace(silent, **OURS)], [replace(RAN, **UNSENT)])
    assert not echoes([replace(silent, status=400)], [])


def test_a_response_without_a_decision_has_headers_without_one() -> None:
    refused = replace(ASKED, prompt=None, status=400, code="invalid_json", shown=IdentityHeaders("a"))
    undecided: Any = {"event": "request", "request_id": "a", "status": 400}
    assert not headers([refused], [], {"a": [undecided]})
    assert not headers([replace(refused, expected="refused unread", shown=IdentityHeaders())], [], {})
    assert rules(headers([replace(refused, shown=SHOWN._replace(nonce=None))], [], {"a": [undecided]})) == ["headers"]
    assert rules(headers([replace(refused, shown=SHOWN)], [], {"a": [line()]})) == ["headers"]


@pytest.mark.parametrize(
    ("logged", "model", "broken"),
    [
        (line(), "law-lora", []),
        (line(), "code-lora", ["adapter"]),
        (line("code-lora", "classified", "computer science"), "code-lora", ["adapter"]),
        (line(reason="sticky"), "law-lora", ["adapter"]),
        (line("base", "overloaded", None), "base", []),
        (line("base", "deadline", None), "base", []),
        (line("base", "classifier_error", None), "base", []),
        (line("base", "low_confidence", None), "base", ["adapter"]),
        (line("law-lora", "overloaded", None), "law-lora", ["adapter"]),
        ({"event": "request", "request_id": "a", "status": 499}, "law-lora", ["adapter"]),
    ],
)
def test_the_upstream_gets_the_model_of_the_prompts_class_or_of_a_stated_fallback(
    logged: Any, model: str, broken: list[str]
) -> None:
    ran = replace(RAN, prompt=Prompt("nonce0123456789ab", model, 3))
    assert rules(adapters([ASKED], [ran], {"a": [logged]})) == broken


def test_a_named_model_goes_to_itself_and_has_no_fallback() -> None:
    named = replace(ASKED, wanted=ReportedDecision("code-lora", "explicit_model"))
    base = replace(RAN, prompt=Prompt("nonce0123456789ab", "base", 3))
    assert not adapters([named], [], {"a": [line("code-lora", "explicit_model", None)]})
    assert rules(adapters([named], [base], {"a": [line("base", "overloaded", None)]})) == ["adapter"]
    assert not adapters([replace(named, prompt=None, wanted=None)], [], {"a": [{"event": "request", "status": 400}]})


def test_a_request_is_sent_again_only_from_a_reused_connection_without_a_byte_of_an_answer() -> None:
    first = replace(RAN, began=0.0, alone=False, **UNSENT)
    logged = {"a": [line(retried=[{"why": "reused"}])]}
    assert not repeats([first, RAN], logged)
    assert rules(repeats([first, RAN], {"a": [line()]})) == ["repeat"]
    assert rules(repeats([replace(first, status=200), RAN], logged)) == ["repeat"]
    assert rules(repeats([replace(first, alone=True), RAN], logged)) == ["repeat"]


def test_a_prompt_is_known_again_by_nonce_model_and_content() -> None:
    dice = random.Random(7)  # noqa: S311 - no secret
    made = [prompt.request(dice, stream=True)[0] for _ in range(200)]
    read = [prompt.read(body) for body in made]
    assert len({one.nonce for one in read}) == 200
    assert [one.model for one in read] == [body["model"] for body in made]
    assert prompt.read(made[0] | {"model": "other"})._replace(model=read[0].model) == read[0]
    assert prompt.read(made[0] | {"stream": False}).digest != read[0].digest

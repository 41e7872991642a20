"""Each thing that a soak must find is found, and a run in which nothing was lost has no faults."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from soak.answer import events, plain
from soak.evidence import DaemonSample, HonestRequest, Lag, Phase, SoakEvidence
from soak.figures import figures, lag_p99, ratio, settled
from soak.honest import judged
from soak.plan import plan
from soak.verdict import judge

from support.raw_client import Got

MIB = 2**20
QUIET = [Phase("quiet", at, at + 50.0, settle=10.0) for at in (0.0, 100.0, 200.0, 300.0)]
ATTACKS = [
    Phase(name, at, at + 50.0)
    for name, at in (
        ("worst bodies", 50.0),
        ("restarts of vLLM", 150.0),
        ("adapters come and go", 250.0),
        ("SIGHUP storm", 350.0),
    )
]
PHASES = sorted(QUIET + ATTACKS, key=lambda phase: phase.begun)
WHOLE = HonestRequest(20.0, 5.0, "routed plain", "whole", 200)
DIRECT = replace(WHOLE, ms=1.0, direct=True)
STILL = {
    f"pointsman_{name}[]": 0.0
    for name in (
        *("requests_in_flight", "connections", "classifier_queue", "endpoint_in_flight"),
        *("buffered_bytes", "bodies_waiting"),
    )
}
FLAT = DaemonSample(0.0, 100 * MIB, 20)
DID = {phase.name: {"body: 200": 3} for phase in ATTACKS}


def evidence(**changes: Any) -> SoakEvidence:
    """What a run without a fault leaves."""
    samples = [replace(FLAT, at=at + 0.5) for at in range(400)]
    whole = SoakEvidence(
        [WHOLE], [DIRECT], [Lag(20.0, 1.0)], PHASES, samples, FLAT, FLAT, 150 * MIB, 256 * MIB, STILL, DID, 0
    )
    return replace(whole, **changes)


def became(end: str, at: float, code: str | None = None, ms: float = 5.0) -> list[str]:
    """What the verdict says of one request with this outcome."""
    return judge(evidence(asked=[WHOLE, HonestRequest(at, ms, "routed plain", end, 200, code)]))  # type: ignore[arg-type]


def test_a_run_in_which_nothing_was_lost_has_no_fault() -> None:
    assert judge(evidence()) == judge(evidence(peak=420 * MIB)) == []


@pytest.mark.parametrize("at", [20.0, 70.0, 170.0, 270.0, 370.0])
@pytest.mark.parametrize("end", ["wrong", "cut", "closed", "refused", "hung"])
def test_no_phase_explains_a_request_without_its_own_answer(end: str, at: float) -> None:
    (fault,) = became(end, at)
    assert fault.startswith("lost: 1 of routed plain")
    assert end in fault


@pytest.mark.parametrize("code", ["upstream_unreachable", "upstream_broken"])
def test_a_restart_of_vllm_explains_its_errors_until_a_little_later(code: str) -> None:
    assert became("error", 170.0, code) == []
    assert became("error", 214.0, code) == []
    assert became("error", 149.0, code, ms=2000.0) == []
    for at in (20.0, 70.0, 149.0, 217.0, 370.0):
        (fault,) = became("error", at, code)
        assert code in fault


@pytest.mark.parametrize("code", ["overloaded", "internal_error", "upstream_timeout", None])
def test_no_attack_explains_another_error(code: str | None) -> None:
    for at in (20.0, 70.0, 170.0, 270.0, 370.0):
        assert len(became("error", at, code)) == 1


def test_adapters_that_go_explain_the_default_model_and_nothing_else_does() -> None:
    assert became("fallback", 270.0, "adapter_missing") == []
    assert len(became("fallback", 170.0, "adapter_missing")) == 1
    assert len(became("fallback", 270.0, "low_confidence")) == 1
    assert len(became("error", 270.0, "upstream_unreachable")) == 1


@pytest.mark.parametrize("reason", ["deadline", "overloaded"])
def test_a_classifier_that_is_late_loses_no_request(reason: str) -> None:
    assert became("fallback", 70.0, reason) == []


@pytest.mark.parametrize(
    ("body", "end", "code"),
    [
        (b"".join(events("base", "hello n1")), "whole", None),
        (b"".join(events("base", "hello n2")), "wrong", None),
        (b'data: {}\n\n\n\ndata: {"error": {"code": "upstream_broken"}}\n\n', "error", "upstream_broken"),
    ],
)
def test_a_stream_is_its_own_or_another_or_ends_with_an_error(body: bytes, end: str, code: str | None) -> None:
    found = judged(replace(WHOLE, end="whole"), Got(200, [], body), None, "hello n1", stream=True)
    assert (found.end, found.code) == (end, code)


def test_a_stream_that_ends_without_an_error_is_cut() -> None:
    got = Got(200, [], events("base", "hello n1")[0])
    assert judged(replace(WHOLE, end="cut"), got, None, "hello n1", stream=True).end == "cut"
    ended = Got(200, [], got.body + b'\n\ndata: {"error": {"code": "upstream_broken"}}\n\n')
    assert judged(replace(WHOLE, end="cut"), ended, None, "hello n1", stream=True).code == "upstream_broken"


def test_a_routed_request_that_the_default_model_answers_is_told_from_one_that_is_wrong() -> None:
    got = Got(200, [("x-pointsman-reason", "deadline")], plain("base", "landlord n1"))
    found = judged(WHOLE, got, "landlord", "landlord n1", stream=False)
    assert (found.end, found.code) == ("fallback", "deadline")
    other = Got(200, [], plain("code-lora", "landlord n1"))
    assert judged(WHOLE, other, "landlord", "landlord n1", stream=False).end == "wrong"
    refused = Got(503, [], b'{"error": {"code": "overloaded"}}')
    assert judged(WHOLE, refused, "landlord", "landlord n1", stream=False).code == "overloaded"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        pytest.param({"asked": []}, "lost: nothing was asked", id="a run without requests shows nothing"),
        pytest.param({"peak": 453 * MIB}, "memory: 453.0 MiB at most", id="above the base, the budget and 96 MiB"),
        pytest.param({"end": replace(FLAT, descriptors=29)}, "descriptors: 9 more", id="descriptors that stay open"),
        *(pytest.param({"gauges": STILL | {gauge: 1.0}}, gauge, id=f"{gauge} that is left over") for gauge in STILL),
        pytest.param({"attacks": DID | {"reloads": {}}}, "attack: reloads did nothing", id="an attack without effect"),
        pytest.param({"errors": ["a traceback"]}, "log: a traceback", id="an error in the log"),
    ],
)
def test_each_fault_is_found(changes: dict[str, Any], said: str) -> None:
    (fault,) = judge(evidence(**changes))
    assert said in fault


def test_memory_that_grows_between_attacks_is_found_and_that_of_an_attack_is_not() -> None:
    leaking = [replace(FLAT, at=at + 0.5, resident=(100 + at // 10) * MIB) for at in range(400)]
    assert judge(evidence(samples=leaking)) == [
        "memory: it grew from 112.0 MiB in the second quarter to 132.0 in the last"
    ]
    busy = [replace(FLAT, at=at + 0.5, resident=(300 if at >= 350 else 100) * MIB) for at in range(400)]
    assert judge(evidence(samples=busy)) == []
    assert judge(evidence(samples=[])) == ["memory: too few quiet samples"]


def test_latency_is_of_answers_in_settled_phases() -> None:
    asked = [
        HonestRequest(5.0, 90.0, "routed plain", "whole"),
        HonestRequest(20.0, 4.0, "routed plain", "whole"),
        HonestRequest(60.0, 6.0, "routed plain", "whole"),
        HonestRequest(70.0, 999.0, "routed plain", "error", code="upstream_broken"),
    ]
    found = figures(evidence(asked=asked))
    assert (found["quiet"]["p99_ms"], found["attacked"]["p99_ms"]) == (4.0, 6.0)
    assert ratio(found, "p99") == 1.5
    assert found["attacks"]["worst bodies"]["outcomes"] == {"error: upstream_broken": 1, "whole": 1}
    assert not settled(5.0, PHASES)


def test_the_lag_of_the_loop_is_the_bound_of_its_bucket() -> None:
    phase = replace(PHASES[0], lag={"0.001": 98.0, "0.005": 99.0, "+Inf": 100.0})
    assert lag_p99([phase]) == 5.0
    assert lag_p99([replace(phase, lag={"0.001": 98.0, "+Inf": 100.0})]) is None
    assert lag_p99([]) is None


def test_every_attack_has_its_turn_in_a_short_run_and_its_full_time_in_a_long_one() -> None:
    short, full = plan(120.0), plan(1800.0)
    assert (short.pairs, short.full, full.pairs, full.full) == (12, False, 15, True)
    assert short.pairs * (short.attack_s + short.quiet_s) == pytest.approx(120.0)
    assert full.attack_s > 60
    assert full.options() == {}

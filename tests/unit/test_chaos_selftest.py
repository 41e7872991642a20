"""Chaos: the self-test compares what was injected with what the verdict names, request by request."""

from __future__ import annotations

import random
from typing import Any

from chaos.evidence import BrokenRule, ChaosEvidence, ClientRequest, ResourceSample, body_of
from chaos.injection import Injector, Rendezvous
from chaos.selftest import examine

from support.virtual_loop import VirtualLoop

STAYED = ClientRequest("a", "plain", status=200, body=body_of(b"x"))
FLAT = ResourceSample(100 * 2**20, 20)


def examined(faults: list[BrokenRule], injected: dict[str, set[str]], asked: ClientRequest = STAYED) -> dict[str, Any]:
    return examine(ChaosEvidence([asked], [], [], 0.0, {}, 0, 0, [], FLAT, FLAT), faults, injected)


def test_a_fault_is_named_by_its_rule_and_its_request() -> None:
    injected = {"another adapter": {"a"}}
    assert examined([BrokenRule("adapter", "a", "")], injected)["faults"]["another adapter"] == {
        "injected": 1,
        "named": 1,
    }
    for other in (BrokenRule("repeat", "a", ""), BrokenRule("adapter", "b", ""), BrokenRule("adapter", None, "")):
        assert "another adapter: a" in examined([other], injected)["missed"]


def test_a_fault_that_was_never_injected_is_missed() -> None:
    assert "another adapter: never injected where it can be seen" in examined([], {})["missed"]


def test_a_body_that_nobody_received_shows_no_fault() -> None:
    injected = {"a byte changed": {"a"}}
    unread = ClientRequest("a", "leaves", end="left", status=200)
    assert examined([], injected)["faults"]["a byte changed"] == {"injected": 1, "named": 0}
    assert examined([], injected, unread)["faults"]["a byte changed"] == {"injected": 0, "named": 0}


def test_what_the_verdict_says_of_others_is_a_false_alarm() -> None:
    injected = {"another adapter": {"a"}, "generation goes on": {"a"}}
    faults = [
        BrokenRule("echo", "a", ""),
        BrokenRule("echo", "b", "x"),
        BrokenRule("gauge", None, "y"),
        BrokenRule("late", None, ""),
    ]
    assert examined(faults, injected)["false_alarms"] == ["echo: b: x", "gauge: y"]


def test_two_requests_swap_and_one_alone_keeps_its_own(clock: VirtualLoop) -> None:
    meeting: Rendezvous[str] = Rendezvous()
    first, second, alone = (clock.do(clock.create_task, meeting.swap(mine)) for mine in "abc")
    assert (first.result(), second.result(), alone.done()) == ("b", "a", False)
    clock.advance(10)
    assert alone.result() is None


def test_an_injector_gives_a_request_one_fault_and_only_while_it_is_active() -> None:
    injector = Injector(random.Random(1))  # noqa: S311 - no secret
    assert {injector.fault(f"a-{number}", {}) for number in range(50)} == {None}
    injector.active = True
    chosen = {name: injector.fault(name, {}) for name in map(str, range(200))}
    assert chosen == {name: injector.fault(name, {}) for name in chosen}
    assert {"prompts swapped", "another adapter", "sent twice", None} <= set(chosen.values())
    assert injector.each() == 0

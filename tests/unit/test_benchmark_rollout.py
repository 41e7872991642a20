"""The recorded rollout went as it should, and what it says of comparisons is what the contract says."""

from __future__ import annotations

import itertools
import json

import pytest
import rollout
from startup import RESULT

from support.scripted_rollout import NUMBER

RECORDED = RESULT.with_name("rollout.json")


def test_the_recorded_rollout_went_as_it_should() -> None:
    """Where there is no difference, at most 6 % of 1,000 runs have a verdict, looked at after every observation."""
    result = json.loads(RECORDED.read_text("utf-8"))
    same = {name: one for name, one in result["simulated"].items() if name.startswith("no difference")}
    assert (result["runs"], len(same)) == (1_000, 3)
    assert all(one["verdicts"] <= 0.06 for one in same.values())
    assert (result["script"]["shadow"], rollout.faults(result["script"])) == (1_000, [])


def test_the_page_is_that_of_the_recorded_figures() -> None:
    result = json.loads(RECORDED.read_text("utf-8"))
    assert "\n".join(rollout.rendered(result)) + "\n" == RECORDED.with_suffix(".md").read_text("utf-8")


@pytest.mark.thorough
def test_a_thousand_questions_are_all_wrapped_and_differ() -> None:
    """As people who ask the same share a draw."""
    bodies = list(itertools.islice(rollout.bodies(), 1_000))
    found = [NUMBER.search(body) for body in bodies]
    assert len({one[1] for one in found if one is not None}) == 1_000
    assert min(map(len, bodies)) > 100


SCRIPT = {"sent_to_the_default": 1.0, "canary": 50, "until_verdict": 500, "rolled_back": ["why"], "after": 1.0}
SCRIPT |= {"promoted": 1.0, "compared": ["verdict: canary fails less often than stable"]}


def test_each_fault_of_a_rollout_is_told() -> None:
    assert rollout.faults(SCRIPT) == []
    wrong = {
        "sent_to_the_default": 0.9,
        "canary": 250,
        "rolled_back": [],
        "compared": [],
        "promoted": 0.5,
        "after": 0.5,
    }
    for name, value in wrong.items():
        assert len(rollout.faults(SCRIPT | {name: value})) == 1, name

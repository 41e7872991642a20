"""What tells a change of subject from a follow-up, and the rule that weighs it."""

from __future__ import annotations

import math
import time

import pytest

from pointsman.routing.subject import FITTED, Features, Weights, evidence_of

NEW = "How long must a tenant wait for the deposit?"
BEFORE = "Why does my loop never end?\nThe index is not incremented."


def evidence(
    ask: str = NEW, before: str = BEFORE, score: float = 0.9, together: float = 0.5, *, rest: bool = False
) -> Features:
    return evidence_of(ask, before, score, together, rest=rest)


def test_the_scores_count_by_their_log_odds_and_no_more_than_they_can_mean() -> None:
    assert (evidence(score=0.5).score, evidence(together=0.5).together) == (0, 0)
    assert evidence(score=0.9).score == evidence(together=0.9).together == pytest.approx(math.log(9))
    assert evidence(score=1.0, together=1.0) == evidence(score=0.9999, together=0.9999)
    assert evidence(score=0.0, together=0.0) == evidence(score=0.0001, together=0.0001)


def test_words_that_are_found_in_any_subject_are_not_its_own() -> None:
    assert evidence("Could you tell me more about it?").own == 0
    assert evidence(NEW).own == pytest.approx(math.log1p(3)), "tenant, wait, deposit"


@pytest.mark.parametrize(
    ("ask", "shared"),
    [
        (NEW, 0),
        ("Does an index begin at 0?", 1),
        ("Do indexes and loops begin at 0?", 1),
        ("Is the indexing of a loop that is incrementing at fault?", 2),
        ("Could you do that?", 0),
    ],
)
def test_words_that_the_last_ask_or_its_answer_has_are_counted_up_to_two(ask: str, shared: int) -> None:
    assert evidence(ask).shared == shared


def test_the_weighted_sum_decides() -> None:
    weights = Weights(-1.0, Features(0, 0, 0, 1.0, 0, 0))
    assert not weights.changed(Features(9, 1, 9, 1, 1, 1))
    assert weights.changed(Features(0, 0, 0, 2, 0, 0))


@pytest.mark.parametrize(
    ("ask", "score", "together", "rest", "changed"),
    [
        (NEW, 0.95, 0.3, False, True),
        ("Which wine goes with a mushroom risotto? My guests like nothing sweet.", 0.95, 0.1, True, True),
        ("Which wine goes with a mushroom risotto? My guests like nothing sweet.", 0.75, 0.99, True, False),
        ("would that be enough?", 0.99, 0.3, True, False),
        ("Who decides on the amount?", 0.9, 0.99, True, False),
        ("Does the index of the loop also count for the law?", 0.8, 0.5, False, False),
        ("eskerrik asko, laburrago mesedez", 0.9, 0.95, True, False),
    ],
)
def test_the_fitted_rule_tells_changes_from_follow_ups(
    ask: str, score: float, together: float, rest: bool, changed: bool
) -> None:
    assert FITTED.changed(evidence(ask, score=score, together=together, rest=rest)) is changed


@pytest.mark.parametrize("unit", ["it ", "a", "word ", "ありが", "'"])
def test_no_text_takes_long(unit: str) -> None:
    started = time.process_time()
    for size in (100, 2_000, 200_000):
        evidence(unit * (size // len(unit)), unit * (size // len(unit)))
    assert time.process_time() - started < 5

"""What is counted of two classifiers that read the same texts."""

from __future__ import annotations

import pytest

from pointsman.routing.agreement import ClassifierAgreement
from pointsman.routing.decision import Reason
from pointsman.routing.opinion import Opinion


def says(category: str | None, confidence: float | None = 0.9, model: str | None = None) -> Opinion:
    return Opinion(model or f"{category}-lora", Reason.CLASSIFIED, category, confidence)


def test_they_agree_where_both_choose_the_same_category() -> None:
    counts = ClassifierAgreement()
    assert counts.add(says("law"), says("law", 0.7)) is None
    assert counts.add(says("law"), says("health")) == ("law", "health")
    assert counts.add(says(None), says("law")) == (None, "law")
    report = counts.report()

    assert (report["compared"], report["agreed"]["texts"], report["agreed"]["share"]) == (3, 1, 0.3333)
    assert report["agreed"]["low"] < 1 / 3 < report["agreed"]["high"]
    assert report["pairs"] == [
        {"category": "law", "shadow": "health", "texts": 1},
        {"category": None, "shadow": "law", "texts": 1},
    ]


def test_a_text_is_rerouted_where_another_model_would_answer_whatever_its_category() -> None:
    counts = ClassifierAgreement()
    counts.add(says("law", model="base"), says("health", model="base"))
    counts.add(says("law", model="base"), says("law", model="law-lora"))

    assert counts.report()["rerouted"]["texts"] == 1


def test_the_difference_of_confidence_is_that_of_texts_in_which_both_have_one() -> None:
    counts = ClassifierAgreement()
    counts.add(says("law", 0.9), says("law", 0.7))
    counts.add(says("law", 0.6), says("law", 0.7))
    counts.add(says("law", 0.6), says("law", None))

    assert counts.report()["confidence_difference"] == pytest.approx(-0.05)


def test_without_a_text_no_share_is_told() -> None:
    report = ClassifierAgreement().report()
    assert (report["agreed"]["share"], report["agreed"]["low"], report["confidence_difference"]) == (None, None, None)


def test_pairs_that_differ_are_bounded() -> None:
    """The first 200 are told apart, however many categories there are, and the others are counted together."""
    counts = ClassifierAgreement()
    for number in range(300):
        counts.add(says("law"), says(f"category {number}"))
    counts.add(says("law"), says("category 5"))
    pairs = counts.report()["pairs"]

    assert len(pairs) == 201
    assert pairs[0] == {"category": "*", "shadow": "*", "texts": 100}
    assert pairs[1] == {"category": "law", "shadow": "category 5", "texts": 2}

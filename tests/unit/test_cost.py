"""What follows from a cost curve."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.classify.cost_model import CostCurve, SlowdownTracker, interpolate

SIZES = (16, 32, 64, 128)


def curve(**changes: Any) -> CostCurve:
    fields: dict[str, Any] = {"workers": 2, "tokens": SIZES, "alone": (1.0, 1.5, 2.0, 4.0)}
    fields |= {"beside": (1.0, 1.5, 2.0, 4.0), "wide": (1.0, 1.5, 1.5, 2.0)}
    return CostCurve(**(fields | changes))


@pytest.mark.parametrize(("at", "seconds"), [(1, 1.0), (16, 1.0), (24, 1.25), (32, 1.5), (48, 1.75), (128, 4.0)])
def test_between_two_points_the_cost_is_on_the_line(at: int, seconds: float) -> None:
    assert curve().seconds(at) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("last", "seconds"),
    [
        pytest.param((1.0, 2.0), 8.0, id="linear"),
        pytest.param((1.0, 4.0), 64.0, id="quadratic"),
        pytest.param((1.0, 16.0), 256.0, id="never steeper than quadratic"),
        pytest.param((1.0, 1.0), 4.0, id="never flatter than linear"),
    ],
)
def test_beyond_the_last_point_the_cost_goes_on_as_it_grew(last: tuple[float, float], seconds: float) -> None:
    assert interpolate((64, 128), last, 512) == pytest.approx(seconds)


def test_a_single_point_is_continued_in_proportion() -> None:
    assert interpolate((64,), (1.0,), 640) == pytest.approx(10.0)


def test_a_longer_text_is_never_cheaper() -> None:
    costs = [curve().seconds(tokens) for tokens in range(1, 1000)]
    assert costs == sorted(costs)


@pytest.mark.parametrize(
    ("seconds", "tokens"),
    [
        pytest.param(0.2, 192, id="200 tokens"),
        pytest.param(0.22, 192, id="and a slightly other measurement"),
        pytest.param(0.225, 224, id="the next step"),
        pytest.param(0.128, 128, id="exactly at a step"),
        pytest.param(0.127, 112, id="just below it"),
        pytest.param(3.0, 2560, id="beyond what was measured"),
    ],
)
def test_what_runs_within_a_time_is_told_in_three_binary_digits(seconds: float, tokens: int) -> None:
    straight = tuple(size / 1000 for size in (16, 32, 64, 128))
    assert curve(alone=straight, beside=straight, wide=()).longest(seconds) == tokens


def test_at_least_the_shortest_run_that_was_measured_is_allowed() -> None:
    assert curve().longest(0.001) == 16


@pytest.mark.parametrize(
    ("beside", "tokens"),
    [
        pytest.param((1.0, 2.0, 4.0, 8.0), 16, id="a batch is never worth it"),
        pytest.param((1.0, 1.0, 1.0, 2.0), 64, id="until the rate no longer grows"),
        pytest.param((1.0, 1.0, 1.0, 1.9), 64, id="or hardly"),
        pytest.param((1.0, 1.0, 1.0, 1.0), 128, id="the longest that was measured"),
        pytest.param((1.0, 1.0, 4.0, 16.0), 32, id="and falls"),
    ],
)
def test_a_batch_is_as_long_as_it_pays(beside: tuple[float, ...], tokens: int) -> None:
    assert curve(beside=beside).batch_tokens == tokens


@pytest.mark.parametrize(
    ("wide", "tokens"),
    [
        pytest.param((1.0, 1.5, 1.5, 2.0), 64, id="from where it is clearly faster"),
        pytest.param((0.5, 1.5, 1.5, 2.0), 64, id="for good"),
        pytest.param((0.5, 0.7, 1.0, 2.0), 16, id="always"),
        pytest.param((1.0, 1.5, 2.0, 3.9), None, id="never"),
        pytest.param((), None, id="one thread"),
    ],
)
def test_all_threads_are_worth_it_from_some_length_on(wide: tuple[float, ...], tokens: int | None) -> None:
    assert curve(wide=wide).wide_from == tokens


def test_all_threads_must_save_more_than_it_costs_to_wake_them() -> None:
    alone, wide = (0.0010, 0.0011, 0.0013, 0.0014), (0.0006, 0.0007, 0.0007, 0.0007)
    assert curve(alone=alone, beside=alone, wide=wide).wide_from == 64


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"tokens": (), "alone": (), "beside": (), "wide": ()},
        {"tokens": (16, 16, 32, 64)},
        {"tokens": (0, 16, 32, 64)},
        {"alone": (1.0, 2.0)},
        {"beside": (2.0, 1.0, 3.0, 4.0)},
        {"wide": (0.0, 1.0, 2.0, 3.0)},
        {"alone": (1.0, 2.0, 3.0, float("inf"))},
        {"alone": (1.0, 2.0, 3.0, float("nan"))},
    ],
)
def test_what_cannot_have_been_measured_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="not a cost curve"):
        curve(**wrong)


@pytest.mark.parametrize("taken", [0.05, 0.2, 0.4])
def test_the_pace_is_as_measured_and_follows_what_runs_take(taken: float) -> None:
    slowdown = SlowdownTracker()
    assert slowdown.factor == 1.0
    for _ in range(100):
        slowdown.observe(predicted=0.2, taken=taken)
    assert slowdown.factor == pytest.approx(taken / 0.2, rel=0.01)


def test_a_run_that_was_held_up_changes_the_pace_only_so_much() -> None:
    held_up, surprised = SlowdownTracker(), SlowdownTracker()
    held_up.observe(predicted=0.1, taken=1000.0)
    surprised.observe(predicted=0.1, taken=0.4)
    assert held_up.factor == surprised.factor < 1.5

"""When a canary is rolled back by itself: certainly worse than the stable arm, by more than is permitted."""

from __future__ import annotations

import gc
import math
import random
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest

from pointsman.config.model import Canary
from pointsman.experiments.canary_analysis import CanaryAnalysis, RequestOutcome
from pointsman.routing.canaries import Arm

CANARY = Canary(adapter="law-v2", percent=10, max_failures=0.05, max_first_byte=2.0)
LIKE = RequestOutcome(Arm.CANARY, 0.0, "", False, 0.1, "law-v2", "a", 0.0)


class Played:
    """An analysis, to which conversations are added two seconds apart; each is of a client of its own unless told."""

    def __init__(self, canary: Canary = CANARY) -> None:
        self.analysis = CanaryAnalysis(canary)
        self.now = 0.0
        self._draws = iter(range(10**6))

    def add(self, arm: Arm, many: int = 1, after: float = 2.0, **fields: Any) -> list[str | None]:
        """What is said after each of so many conversations."""
        said = []
        for _ in range(many):
            self.now += after
            draw = next(self._draws)
            made = {"client": f"client {draw}", "model": "law-v2" if arm is Arm.CANARY else "law"} | fields
            said.append(self.analysis.add(LIKE._replace(arm=arm, draw=draw / 10**6, at=self.now, **made)))
        return said

    def both(self, many: int, canary: dict[str, Any], stable: dict[str, Any]) -> list[str | None]:
        said = []
        for _ in range(many):
            said += self.add(Arm.STABLE, **stable) + self.add(Arm.CANARY, **canary)
        return said


def first(said: list[str | None]) -> int | None:
    """After how many it was rolled back."""
    return next((number for number, why in enumerate(said, 1) if why is not None), None)


def test_a_canary_like_the_stable_arm_stays() -> None:
    played = Played()
    assert first(played.both(600, {}, {})) is None


def test_a_canary_that_always_fails_is_gone_after_ten_conversations_of_each_arm() -> None:
    said = Played().both(60, {"failed": True}, {})
    assert first(said) == 20
    assert said[19] == "100.0% of 10 conversations failed, of the stable arm 0.0%"


@pytest.mark.parametrize("percent", [1, 5, 50, 95])
def test_a_canary_that_always_fails_is_gone_after_at_most_30_conversations(percent: int) -> None:
    played = Played(replace(CANARY, percent=percent))
    played.add(Arm.STABLE, (100 - percent) // percent * 10 + 10)
    assert (first(played.add(Arm.CANARY, 100, failed=True)) or 99) <= 30


def test_failures_of_both_arms_say_nothing_of_the_canary() -> None:
    assert first(Played().both(100, {"failed": True}, {"failed": True})) is None


@pytest.mark.parametrize(
    ("many", "bad", "rolled_back"),
    [
        pytest.param(1_000, 40, False, id="certain, and permitted"),
        pytest.param(100, 7, False, id="more than is permitted, and not certain"),
        pytest.param(1_000, 70, True, id="both"),
    ],
)
def test_it_must_be_certain_and_more_than_is_permitted(many: int, bad: int, rolled_back: bool) -> None:
    """A permitted 5 %: each failure follows sound conversations, so that no share is above the last one."""
    played = Played()
    said = []
    for number in range(many):
        failed = (number + 1) * bad // many > number * bad // many
        said += played.add(Arm.STABLE) + played.add(Arm.CANARY, failed=failed)
    assert (first(said) is not None) is rolled_back


@pytest.mark.thorough
@pytest.mark.parametrize("share", [0.5, 0.05])
def test_arms_that_are_alike_and_fail_in_a_tenth_are_rolled_back_in_one_run_of_a_hundred_at_most(share: float) -> None:
    """With first bytes that vary as much as those of real models, judged after each conversation of six hours."""
    runs, rolled_back = 200, 0
    for seed in range(runs):
        draw = random.Random(seed)  # noqa: S311 - no secret
        played = Played()
        for _ in range(720):
            arm = Arm.CANARY if draw.random() < share else Arm.STABLE
            told: dict[str, Any] = {
                "failed": draw.random() < 0.1,
                "first_byte": 0.1 * math.exp(draw.gauss(0, 1)),
                "client": "one",
            }
            if played.add(arm, after=30.0, **told) != [None]:
                rolled_back += 1
                break
    assert rolled_back <= 0.01 * runs


@pytest.mark.parametrize(("first_byte", "rolled_back"), [(0.19, False), (0.21, True)])
def test_a_slow_first_byte_rolls_it_back(first_byte: float, rolled_back: bool) -> None:
    said = Played().both(60, {"first_byte": first_byte}, {"first_byte": 0.1})
    assert (first(said) is not None) is rolled_back


def test_cold_loads_are_left_out() -> None:
    """The first request for a model at an endpoint after five minutes without one may have to load it."""
    played = Played()
    played.add(Arm.STABLE, 60)
    for _ in range(60):
        assert played.add(Arm.CANARY, after=301.0, first_byte=9.0) == [None]
        played.add(Arm.STABLE)


@pytest.mark.parametrize("bad", [{"failed": True}, {"first_byte": 9.0}])
def test_a_conversation_counts_once_however_many_requests_it_has(bad: dict[str, Any]) -> None:
    played = Played()
    played.both(60, {}, {})
    for number in range(1, 500):
        outcome = LIKE._replace(draw=0.5, client="one", at=played.now + 2.0 * number, **bad)
        assert played.analysis.add(outcome) is None


def test_one_client_among_others_counts_for_no_more_than_half() -> None:
    """A client's thousand failures among 50 others are 50 of 100 conversations."""
    played = Played(replace(CANARY, max_failures=0.6))
    played.add(Arm.STABLE, 60)
    played.add(Arm.CANARY, 50)
    assert first(played.add(Arm.CANARY, 900, client="loud", failed=True)) is None
    assert first(played.add(Arm.CANARY, 200, failed=True)) is not None


def test_where_one_client_has_nearly_all_few_others_are_too_few() -> None:
    """Two failures of two others are 2 of 4 conversations that count, and may be one short trouble."""
    played = Played(replace(CANARY, max_failures=0.05))
    played.add(Arm.STABLE, 1_000)
    played.add(Arm.CANARY, 100, client="loud")
    assert first(played.add(Arm.CANARY, 2, failed=True)) is None


def test_a_client_that_comes_late_counts_as_others_do() -> None:
    """A canary that turns bad after thousands of clients shows its whole share of failures."""
    played = Played()
    played.both(2_000, {}, {})
    said = []
    for number in range(3_000):
        said += played.add(Arm.STABLE) + played.add(Arm.CANARY, failed=number % 6 == 0)
    assert first(said) is not None


def test_a_clock_that_is_set_back_stops_no_judging() -> None:
    played = Played()
    played.both(5, {"failed": True}, {})
    played.now -= 7_200.0
    assert first(played.both(20, {"failed": True}, {})) is not None


def test_nor_do_its_first_bytes() -> None:
    played = Played()
    played.add(Arm.STABLE, 200)
    played.add(Arm.CANARY, 100)
    assert first(played.add(Arm.CANARY, 900, client="loud", first_byte=0.3)) is None
    assert first(played.add(Arm.CANARY, 400, first_byte=0.9)) is not None


def test_a_client_that_is_alone_counts() -> None:
    """As behind one front end: else nothing would ever be rolled back there."""
    said = Played().both(60, {"client": "only", "failed": True}, {"client": "only"})
    assert first(said) == 20


def test_a_bad_hour_after_a_good_day_rolls_it_back() -> None:
    """Of all conversations so far, a permitted share has failed by then."""
    played = Played()
    for _ in range(24):
        assert first(played.both(50, {}, {})) is None
        played.now += 3_600.0
    assert (first(played.both(50, {"failed": True}, {})) or 99) <= 30


def test_what_is_kept_of_any_number_of_conversations_and_clients_is_bounded() -> None:
    played = Played()
    gc.collect()
    tracemalloc.start()
    try:
        played.add(Arm.STABLE, 5_000)
        before = tracemalloc.get_traced_memory()[0]
        played.add(Arm.STABLE, 20_000)
        assert tracemalloc.get_traced_memory()[0] - before < 100_000
    finally:
        tracemalloc.stop()
    assert played.analysis.counts() == {"canary": 0, "stable": 25_000}


def test_it_is_judged_once_a_second_at_most() -> None:
    """To judge takes half a millisecond."""
    analysis = CanaryAnalysis(CANARY)
    for number in range(200):
        arm = (Arm.STABLE, Arm.CANARY)[number % 2]
        outcome = LIKE._replace(arm=arm, draw=number / 1_000, failed=arm is Arm.CANARY, client=str(number), at=0.5)
        assert analysis.add(outcome) is None
    assert analysis.add(LIKE._replace(draw=0.9, failed=True, at=1.6)) is not None

"""When a canary is rolled back by itself: against the stable arm in the same time, by conversations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pointsman.config.model import Canary
from pointsman.routing.canaries import Arm
from pointsman.routing.trial import Ended, Trial

CANARY = Canary(adapter="law-v2", percent=10, max_failures=0.05, max_first_byte=2.0)
LIKE = Ended(Arm.CANARY, 0.0, "", False, 0.1, "law-v2", "a", 0.0)


class Played:
    """A trial, to which conversations are added two seconds apart; each is of a client of its own unless told."""

    def __init__(self, canary: Canary = CANARY) -> None:
        self.trial = Trial(canary)
        self.now = 0.0
        self._draws = iter(range(10**6))

    def add(self, arm: Arm, many: int = 1, after: float = 2.0, **fields: Any) -> list[str | None]:
        """What is said after each of so many conversations."""
        said = []
        for _ in range(many):
            self.now += after
            draw = next(self._draws)
            made = {"client": f"client {draw}", "model": "law-v2" if arm is Arm.CANARY else "law"} | fields
            said.append(self.trial.add(LIKE._replace(arm=arm, draw=draw / 10**6, at=self.now, **made)))
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


def test_failures_roll_it_back_after_50_conversations_of_each_arm() -> None:
    played = Played()
    said = played.both(60, {"failed": True}, {})
    assert first(said) == 100
    assert said[99] == "100.0% of 50 conversations failed, of the stable arm 0.0%"


def test_failures_of_both_arms_say_nothing_of_the_canary() -> None:
    assert first(Played().both(100, {"failed": True}, {"failed": True})) is None


@pytest.mark.parametrize(("bad", "rolled_back"), [(5, False), (6, True)])
def test_the_bound_on_failures_is_above_the_stable_arms(bad: int, rolled_back: bool) -> None:
    played = Played()
    played.add(Arm.STABLE, 100)
    said = played.add(Arm.CANARY, bad, failed=True) and played.add(Arm.CANARY, 100 - bad)
    assert (said[-1] is not None) is rolled_back


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


def test_a_conversation_counts_once_however_many_requests_it_has() -> None:
    played = Played()
    played.add(Arm.STABLE, 60)
    for number in range(500):
        ended = LIKE._replace(draw=0.5, client="one", failed=True, at=played.now + 2.0 * number)
        assert played.trial.add(ended) is None


def test_one_client_among_others_counts_for_no_more_than_half() -> None:
    """49 others and a client with a thousand failures: 49 of its own count, and it is 98 conversations."""
    played = Played(replace(CANARY, max_failures=0.6))
    played.add(Arm.STABLE, 60)
    played.add(Arm.CANARY, 49)
    assert first(played.add(Arm.CANARY, 900, client="loud", failed=True)) is None
    assert first(played.add(Arm.CANARY, 60, failed=True)) is not None


def test_a_client_that_is_alone_counts() -> None:
    """As behind one front end: else nothing would ever be rolled back there."""
    said = Played().both(60, {"client": "only", "failed": True}, {"client": "only"})
    assert first(said) == 100


def test_what_was_more_than_an_hour_ago_is_forgotten() -> None:
    played = Played()
    played.add(Arm.CANARY, 40, failed=True)
    played.now += 3_600.0
    assert first(played.both(100, {}, {})) is None


def test_of_each_arm_a_thousand_conversations_are_kept() -> None:
    played = Played()
    played.add(Arm.STABLE, 1_050)
    assert played.trial.counts() == {"canary": 0, "stable": 1_000}


def test_it_is_judged_once_a_second_at_most() -> None:
    """To judge takes half a millisecond."""
    trial = Trial(CANARY)
    for number in range(200):
        arm = (Arm.STABLE, Arm.CANARY)[number % 2]
        ended = LIKE._replace(arm=arm, draw=number / 1_000, failed=arm is Arm.CANARY, client=str(number), at=0.5)
        assert trial.add(ended) is None
    assert trial.add(LIKE._replace(draw=0.9, failed=True, at=1.6)) is not None

"""Hours of traffic in virtual time: what fails or crawls is said in time, and of what does well nothing is said."""

from __future__ import annotations

import time
from typing import Any

import pytest

from support.fleet import (
    BASE,
    FAILED,
    TICK_SECONDS,
    Ill,
    R,
    Traffic,
    Watched,
    adapters,
    answered,
    healthy,
    play,
    serving,
)
from support.growth import undisturbed

Fields = dict[str, Any]
WINDOW_SECONDS = 300.0


def at_night(seed: int, *values: object, from_seed: int) -> Any:
    """A case of a seed: the later ones at night alone."""
    return pytest.param(seed, *values, marks=pytest.mark.nightly if seed >= from_seed else ())


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("seed", "fleets", "seconds"),
    [*(at_night(seed, 100, WINDOW_SECONDS, from_seed=1) for seed in range(10)), (10, 4, 12 * WINDOW_SECONDS)],
)
def test_of_no_healthy_model_anything_is_said_in_a_thousand_windows(seed: int, fleets: int, seconds: float) -> None:
    """A hundred of them, or four hours: fleets of many kinds, in some of which the base model is not asked."""
    R.seed(seed)
    for _ in range(fleets):
        speeds = R.choice(({"a": 1.0}, {"a": 1.0, "b": R.uniform(1.0, 2.0)}))
        watched = Watched(serving(count := R.choice((1, 3, 12))))
        asked = [*adapters(count), *([BASE] if R.random() < 0.75 else [])]
        play(watched, {name: healthy(speeds) for name in asked}, seconds)
        assert watched.said == []


def hour(seed: int, *, base: bool, share: float) -> None:
    """Twelve adapters do well, but for half an hour in which one fails and one is slow: only these two are said."""
    R.seed(seed)
    watched = Watched(serving(12))
    asked = [*adapters(12), *([BASE] if base else [])]
    traffic = {name: healthy({"a": 1.0}, rate=R.uniform(0.1, 0.5)) for name in asked}
    play(watched, traffic, 600.0)
    assert watched.said == []
    ill = {
        ("adapter-3", "failing"): Ill(share, R.uniform(0.1, 0.5), **FAILED),
        ("adapter-7", "slow"): Ill(1.0, R.uniform(0.1, 0.5), answered=3.0),
    }
    said = first_said(watched, traffic | {name: one.traffic for (name, _), one in ill.items()}, 1800.0)
    assert said.keys() == ill.keys()
    for found, one in ill.items():
        assert said[found] <= one.at[19] + 60.0
    mended = {(name, f"no longer {state}"): Ill(1.0, R.uniform(0.1, 0.5)) for name, state in ill}
    over = first_said(watched, traffic | {name: one.traffic for (name, _), one in mended.items()}, 1200.0)
    assert over.keys() == ill.keys() | mended.keys()
    for found, one in mended.items():
        assert over[found] <= one.at[19] + 60.0 + 3 * TICK_SECONDS
    assert [line["level"] for line in watched.said] == ["warning", "warning", "info", "info"], "each is said once"


def first_said(watched: Watched, traffic: dict[str, Traffic], seconds: float) -> dict[tuple[str, str], float]:
    """When each line of the log was first there: a model, and what is said of it."""
    said: dict[tuple[str, str], float] = {}
    for _ in range(int(seconds / TICK_SECONDS)):
        play(watched, traffic, TICK_SECONDS)
        for line in watched.said:
            said.setdefault((line["model"], line["state"]), watched.now)
    return said


@pytest.mark.thorough
def test_in_a_scripted_hour_the_two_that_are_ill_are_said_once_and_within_a_minute_of_their_twentieth_request() -> None:
    """So is their end, a minute after twenty requests that went well."""
    hour(1, base=True, share=1.0)


@pytest.mark.thorough
@pytest.mark.parametrize("base", [True, False])
@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("seed", [at_night(seed, from_seed=1) for seed in range(5)])
def test_so_are_those_that_fail_now_and_then_and_where_the_base_model_has_no_traffic(
    seed: int, share: float, base: bool
) -> None:
    hour(seed, base=base, share=share)


@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [60.0, 300.0])
@pytest.mark.parametrize("bad", [FAILED, {"answered": 8.0}], ids=["all fail", "all are slow"])
@pytest.mark.parametrize("seed", range(3))
def test_what_all_models_have_in_common_for_a_while_is_said_of_none(seed: int, bad: Fields, seconds: float) -> None:
    """However often each is asked, and for how long afterwards its newest requests are from then."""
    R.seed(seed)
    watched = Watched(serving(12))
    rates = {name: 10 ** R.uniform(-1.7, -0.3) for name in [BASE, *adapters(12)]}
    well = {name: healthy({"a": 1.0}, rate) for name, rate in rates.items()}
    play(watched, well, 900.0)
    play(watched, {name: Ill(1.0, rate, **bad).traffic for name, rate in rates.items()}, seconds)
    play(watched, well, 900.0)
    assert {name for name, _ in watched.warnings()} <= {"a"}


@pytest.mark.thorough
def test_two_hundred_adapters_at_three_endpoints_stop_the_event_loop_for_no_longer_than_few_do() -> None:
    """A request costs 0.7 us, a step of the judgment 8 ms where half of them fail; ten times as much is allowed."""
    costs, longest = zip(*[of_two_hundred() for _ in range(3)], strict=True)
    assert min(costs) < 7e-6
    assert min(longest) < 0.08


def of_two_hundred() -> tuple[float, float]:
    """The CPU time of a request, and of the longest step."""
    watched = Watched(serving(200))
    records = [
        answered(name, endpoint=where, started=at, seconds=0.0, **(FAILED if int(name[8:]) % 2 and at > 100 else {}))
        for at in range(0, 300, 10)
        for name in adapters(200)
        for where in "abc"
    ]
    with undisturbed():
        before = time.process_time()
        watched.watch.add(records)
        cost = (time.process_time() - before) / len(records)
        watched.now = 300.0
        longest, before = 0.0, time.process_time()
        for _ in watched.watch._steps():
            now = time.process_time()
            longest, before = max(longest, now - before), now
    return cost, longest

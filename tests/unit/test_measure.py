"""Measuring an engine: what is asked of it, and what comes out. Its time is counted, not slept."""

from __future__ import annotations

import threading
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.classify import measure as module
from pointsman.classify.measure import measure


class Engine:
    """Costs what it is told to cost: burns CPU for `seconds_per_token`."""

    def __init__(self, clock: Clock, seconds_per_token: float) -> None:
        self.runs: Counter[tuple[int, bool]] = Counter()
        self._clock = clock
        self._seconds = seconds_per_token

    def __call__(self, tokens: int, wide: bool) -> None:
        self.runs[tokens, wide] += 1
        self._clock.advance(tokens * self._seconds / (2 if wide else 1))


class Clock:
    """Each thread has its own time, as if each had a core; the process's CPU time is theirs together, times `share`."""

    def __init__(self, share: float) -> None:
        self._local = threading.local()
        self._lock = threading.Lock()
        self._share = share
        self._latest = self._main = 0.0
        self._cpu = 0.0

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._local.now = self.perf_counter() + seconds
            self._latest = max(self._latest, self._local.now)
            self._cpu += seconds * self._share

    def perf_counter(self) -> float:
        if threading.current_thread() is threading.main_thread():
            self._main = max(self._main, self._latest)  # it waited for the others
            return self._main
        if not hasattr(self._local, "now"):
            self._local.now = self._main
        return float(self._local.now)

    def process_time(self) -> float:
        return self._cpu


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Clock:
    made = Clock(getattr(request, "param", 1.0))
    monkeypatch.setattr(module, "time", made)
    return made


@pytest.mark.parametrize(("threads", "wide"), [(1, False), (2, True), (3, True)])
def test_the_curve_is_what_the_runs_take(clock: Clock, threads: int, wide: bool) -> None:
    engine = Engine(clock, 1e-5)
    found = measure(engine, threads=threads, wide=wide, max_tokens=300)
    assert found.curve.tokens == (16, 32, 64, 128, 256, 300)
    assert {tokens for tokens, _ in engine.runs} == {16, 32, 64, 128, 256, 300}, "a typical text has 64"
    assert found.curve.workers == threads
    expected = [tokens * 1e-5 for tokens in found.curve.tokens]
    assert found.curve.alone == pytest.approx(expected)
    assert found.curve.beside == pytest.approx(expected)
    assert found.curve.wide == (pytest.approx([seconds / 2 for seconds in expected]) if wide else ())
    assert not found.disturbed


def test_nothing_longer_than_the_longest_text_is_run(clock: Clock) -> None:
    engine = Engine(clock, 1e-5)
    assert measure(engine, threads=1, wide=False, max_tokens=20).curve.tokens == (16, 20)
    assert max(tokens for tokens, _ in engine.runs) == 20


def test_a_slow_engine_is_measured_as_far_as_the_budget_goes(clock: Clock) -> None:
    found = measure(Engine(clock, 1e-3), threads=2, wide=True, max_tokens=8192)
    assert found.curve.tokens[0] == 16
    assert found.curve.tokens[-1] == 512
    assert clock.perf_counter() < 0.8 + 80 * 0.064 * 1.5


@pytest.mark.parametrize("clock", [0.5], indirect=True)
def test_threads_that_had_to_share_the_cores_are_noticed(clock: Clock) -> None:
    """Every run takes twice its CPU time: the rate of two tells nothing, so all threads are worked with for now."""
    found = measure(Engine(clock, 1e-4), threads=2, wide=True, max_tokens=64)
    assert found.disturbed
    assert found.curve.workers == 2


def test_a_fast_engine_is_measured_at_each_power_of_two_up_to_8192(clock: Clock) -> None:
    found = measure(Engine(clock, 1e-7), threads=1, wide=False, max_tokens=20_000)
    assert found.curve.tokens == (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 20_000)


def test_a_curve_reaches_a_typical_text_however_slow_the_first_run_was(clock: Clock) -> None:
    class Late(Engine):
        def __call__(self, tokens: int, wide: bool) -> None:
            if not self.runs:
                self._clock.advance(100.0)
            super().__call__(tokens, wide)

    assert measure(Late(clock, 1e-5), threads=1, wide=False, max_tokens=8192).curve.tokens == (16, 32, 64)


def test_of_the_counts_that_are_as_fast_the_highest_works(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short texts wait less behind long ones then."""
    seconds = {1: 1.0, 2: 1.0, 4: 2.0, 6: 4.0}

    def side_by_side(_run: object, _tokens: int, count: int, _alone: float) -> Any:
        return SimpleNamespace(seconds=seconds[count], share=1.0)

    monkeypatch.setattr(module, "_side_by_side", side_by_side)
    assert measure(Engine(clock, 1e-5), threads=6, wide=False, max_tokens=64).curve.workers == 4


@pytest.mark.parametrize(("seconds_per_token", "max_tokens"), [(1.41e-4, 4096), (1.42e-4, 2048)])
def test_the_budget_is_four_fifths_of_a_second_and_eighty_typical_runs(
    clock: Clock, seconds_per_token: float, max_tokens: int
) -> None:
    """Of 9 ms here: 1.5 s in all, and 4,096 tokens would take more than half a second."""
    found = measure(Engine(clock, seconds_per_token), threads=1, wide=False, max_tokens=8192)
    assert found.curve.tokens[-1] == max_tokens


def test_a_wide_run_that_gains_little_is_measured_again(clock: Clock) -> None:
    """One that was disturbed would keep long texts on one thread for good: the curve is kept for later starts."""

    class Disturbed(Engine):
        def __call__(self, tokens: int, wide: bool) -> None:
            if wide and not self.runs[tokens, wide]:
                self._clock.advance(tokens * self._seconds / 2)
            super().__call__(tokens, wide)

    curve = measure(Disturbed(clock, 1e-3), threads=2, wide=True, max_tokens=512).curve
    assert curve.wide == pytest.approx([tokens * 1e-3 / 2 for tokens in curve.tokens])

"""Measuring an engine: what is asked of it, and what comes out. Its time is counted, not slept."""

from __future__ import annotations

import threading
from collections import Counter

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
    found = measure(Engine(clock, 1e-5), threads=threads, wide=wide, longest=300)
    assert found.curve.tokens == (16, 32, 64, 128, 256, 300)
    assert found.curve.workers == threads
    expected = [tokens * 1e-5 for tokens in found.curve.tokens]
    assert found.curve.alone == pytest.approx(expected)
    assert found.curve.beside == pytest.approx(expected)
    assert found.curve.wide == (pytest.approx([seconds / 2 for seconds in expected]) if wide else ())
    assert not found.disturbed


def test_nothing_longer_than_the_longest_text_is_run(clock: Clock) -> None:
    engine = Engine(clock, 1e-5)
    assert measure(engine, threads=1, wide=False, longest=20).curve.tokens == (16, 20)
    assert max(tokens for tokens, _ in engine.runs) == 20


def test_a_slow_engine_is_measured_as_far_as_the_budget_goes(clock: Clock) -> None:
    found = measure(Engine(clock, 1e-3), threads=2, wide=True, longest=8192)
    assert found.curve.tokens[0] == 16
    assert found.curve.tokens[-1] < 8192
    assert clock.perf_counter() < module.BUDGET_S + module.BUDGET_RUNS * 0.064 * 1.5


@pytest.mark.parametrize("clock", [0.5], indirect=True)
def test_threads_that_had_to_share_the_cores_are_noticed(clock: Clock) -> None:
    """Every run takes twice its CPU time: the rate of two tells nothing, so all threads are worked with for now."""
    found = measure(Engine(clock, 1e-4), threads=2, wide=True, longest=64)
    assert found.disturbed
    assert found.curve.workers == 2

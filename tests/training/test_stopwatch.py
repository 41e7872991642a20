"""How long a training took."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

import pytest

from training.stopwatch import Stopwatch

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time of day, in its only item."""
    clock = [1000.0]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    return clock


def saved(state: Path, at: float) -> None:
    state.touch()
    os.utime(state, (at, at))


def test_the_time_of_a_stopped_run_counts_up_to_its_last_state(tmp_path: Path, now: list[float]) -> None:
    """Twice stopped; nobody counts the nights between."""
    file, state = tmp_path / "seconds.json", tmp_path / "state.pt"
    Stopwatch(file, state)
    saved(state, 1060)
    now[0] = 50_000
    Stopwatch(file, state)
    saved(state, 50_030)
    now[0] = 90_000
    last = Stopwatch(file, state)
    now[0] += 5

    assert last.seconds() == 60 + 30 + 5


def test_a_run_that_was_stopped_before_its_first_state_counts_nothing(tmp_path: Path, now: list[float]) -> None:
    file, state = tmp_path / "seconds.json", tmp_path / "state.pt"
    Stopwatch(file, state)
    saved(state, 1060)
    for start in (50_000, 90_000):
        now[0] = start
        last = Stopwatch(file, state)

    assert last.seconds() == 60


def test_without_a_state_it_begins_anew(tmp_path: Path, now: list[float]) -> None:
    file = tmp_path / "seconds.json"
    file.write_text(json.dumps({"before": 7, "start": 0}))
    found = Stopwatch(file, tmp_path / "state.pt")
    now[0] += 2.4

    assert found.seconds() == 2


def test_the_time_of_a_run_that_kept_none_is_unknown(tmp_path: Path, now: list[float]) -> None:
    """Neither its continuation nor the next one takes its own time for that of all."""
    file, state = tmp_path / "seconds.json", tmp_path / "state.pt"
    saved(state, 1060)

    assert [Stopwatch(file, state).seconds() for _ in range(2)] == [None, None]

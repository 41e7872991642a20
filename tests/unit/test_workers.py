"""The classifier's threads give way to the event loop, and those for long texts to those for short ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pointsman.classify import artifact
from pointsman.classify.engine import Engine
from pointsman.classify.workers import workers
from support.priorities import OWN, nice_here, threads_at
from support.process import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from pointsman.classify.classifier import Classifier


def test_short_texts_come_before_long_ones_and_the_event_loop_before_both(
    make_classifier: Callable[..., AbstractContextManager[Classifier]],
) -> None:
    with make_classifier(threads=2) as classifier:
        short, long = (pool.submit(nice_here).result() for pool in classifier.encoder._threads)
        assert (short, long) == (min(19, OWN + 5), min(19, OWN + 10))
        assert nice_here() == OWN


async def test_the_pool_of_wide_runs_has_the_priority_of_long_texts(toy_folder: Path) -> None:
    before = threads_at(10)
    engine = Engine(artifact.load(toy_folder), ("cpu",), threads=3)
    assert engine.has_wide
    await eventually(lambda: len(threads_at(10) - before) == 2, "the thread that opened the session has ended")


def test_where_a_sandbox_forbids_it_the_threads_work_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbidden)
    pool = workers(1, nice=5, name="test")
    assert pool.submit(nice_here).result() == OWN
    pool.shutdown()

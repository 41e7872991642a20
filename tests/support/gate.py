"""Holds a real engine at its door, for tests of what happens meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

from pointsman.classify.classifier import Classifier
from pointsman.classify.engine import EngineRun
from support.process import PATIENCE_SECONDS


class Gate:
    """A wrapper of a classifier's engine: counts the runs, and holds them while it is closed."""

    def __init__(self, classifier: Classifier) -> None:
        self.runs: list[int] = []
        self._entered = threading.Semaphore(0)
        self._open = threading.Event()
        self._read = classifier.encoder._engine.read
        classifier.encoder._engine.read = self._held  # type: ignore[method-assign]
        self.open()

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.clear()

    async def entered(self) -> None:
        assert await asyncio.to_thread(self._entered.acquire, timeout=PATIENCE_SECONDS)

    def _held(self, batch: Sequence[Any], *, wide: bool = False) -> EngineRun:
        self.runs.append(len(batch))
        self._entered.release()
        assert self._open.wait(PATIENCE_SECONDS)
        return self._read(batch, wide=wide)

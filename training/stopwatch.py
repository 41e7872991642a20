"""Measure how long a training takes, over all continuations of a run that was stopped."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class Stopwatch:
    """The time of one run, stored in `file`; time after the last `state` of a stopped run is repeated."""

    def __init__(self, file: Path, state: Path) -> None:
        self._start = time.time()
        self._before = _until(file, state)
        file.write_text(json.dumps({"before": self._before, "start": self._start}) + "\n", encoding="utf-8")

    def seconds(self) -> int | None:
        """Return the time of this run and of those that it continues; None if one of them stored none."""
        return None if self._before is None else round(self._before + time.time() - self._start)


def _until(file: Path, state: Path) -> float | None:
    """Return how long earlier runs took up to the state that is left of them; None if they did not say."""
    if not state.exists():
        return 0.0
    earlier: dict[str, Any] = json.loads(file.read_bytes()) if file.exists() else {"before": None}
    if earlier["before"] is None:
        return None
    before, start = float(earlier["before"]), float(earlier["start"])
    return before + max(0.0, state.stat().st_mtime - start)

"""Show progress as a bar on a terminal, else as one line per step."""

from __future__ import annotations

from collections.abc import Callable
from typing import TextIO

_WIDTH = 30


class Progress:
    """The progress of each step, written to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def step(self, name: str, total: int) -> Callable[[int], None]:
        """Begin a step of `total` parts, shown if there are any; call the result with the number of finished parts."""
        if not total:
            return lambda _: None
        if not self._stream.isatty():
            print(f"{name} …", file=self._stream, flush=True)
            return lambda _: None

        def show(done: int) -> None:
            full = _WIDTH * done // total
            end = "\n" if done == total else ""
            bar = "█" * full + "░" * (_WIDTH - full)
            print(f"\r{name:<20}{bar} {done}/{total}", end=end, file=self._stream, flush=True)

        show(0)
        return show

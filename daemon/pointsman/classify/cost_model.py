"""What a run costs on this host, over its tokens, as measured and as runs go now, and what follows from it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

# Below this share of the best rate a shorter run is not worth its haste.
NEARLY_BEST = 0.95
# A run on all threads burns more CPU for the same tokens, so it must be this much faster to be worth it. And it must
# save what it costs to wake threads that have slept for long, which runs that are measured in a row do not show.
WORTH_ALL_THREADS = 1.1
WAKING_S = 0.0005

# The pace follows the host within about a second of work, as far ahead as estimates look; a run that was held up says
# little of the next one, and counts as no more than so many times what was expected.
FADE_S = 1.0
SURPRISE = 4.0


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds of one run at each of `tokens`, which increase; no longer run is cheaper than a shorter one."""

    workers: int
    """Single-threaded runs side by side that serve the most tokens a second."""
    tokens: tuple[int, ...]
    alone: tuple[float, ...]
    """On one thread, while nothing else runs."""
    beside: tuple[float, ...]
    """On one thread, while `workers` such runs go on."""
    wide: tuple[float, ...]
    """On all threads, while nothing else runs; empty where there is only one thread."""

    def __post_init__(self) -> None:
        """Raises ValueError on a curve that cannot have been measured."""
        measured = (self.alone, self.beside, *((self.wide,) if self.wide else ()))
        if (
            self.workers < 1
            or not self.tokens
            or any(len(seconds) != len(self.tokens) for seconds in measured)
            or not all(0 < value < math.inf for values in (self.tokens, *measured) for value in values)
            or any(sorted(values) != list(values) for values in measured)
            or sorted(set(self.tokens)) != list(self.tokens)
        ):
            raise ValueError("not a cost curve")

    def seconds(self, tokens: int, *, wide: bool = False) -> float:
        """The cost of a run of `tokens`, at the concurrency that it will meet."""
        return interpolate(self.tokens, self.wide if wide else self.beside, tokens)

    @property
    def batch_tokens(self) -> int:
        """The shortest run that has nearly the best rate: longer ones would only make others wait."""
        rates = [tokens / seconds for tokens, seconds in zip(self.tokens, self.beside, strict=True)]
        return next(n for n, rate in zip(self.tokens, rates, strict=True) if rate >= NEARLY_BEST * max(rates))

    @property
    def wide_from(self) -> int | None:
        """The tokens from which on a lone run is worth all threads; None where it never is."""
        found = None
        for tokens, alone, wide in zip(reversed(self.tokens), reversed(self.alone), reversed(self.wide), strict=False):
            if wide > min(alone / WORTH_ALL_THREADS, alone - WAKING_S):
                break
            found = tokens
        return found


class Pace:
    """How much longer runs take now than they did when the curve was measured."""

    def __init__(self) -> None:
        self._taken = self._predicted = FADE_S
        """Seconds of the latest runs, and what the curve says of them; older runs fade."""

    @property
    def factor(self) -> float:
        return self._taken / self._predicted

    def observe(self, predicted: float, taken: float) -> None:
        """A run took `taken` seconds, of which the curve says `predicted`."""
        expected = self.factor * predicted
        kept = math.exp(-expected / FADE_S)
        self._taken = kept * self._taken + min(taken, SURPRISE * expected)
        self._predicted = kept * self._predicted + predicted


def interpolate(points: Sequence[int], values: Sequence[float], at: int) -> float:
    """Linear between two points, the first value before the first, and a power of the last two beyond the last.

    Attention makes the power grow from 1 towards 2 with the length; it is kept within these bounds.
    """
    upper = bisect_left(points, at)
    if upper == 0:
        return values[0]
    if upper < len(points):
        share = (at - points[upper - 1]) / (points[upper] - points[upper - 1])
        return values[upper - 1] + share * (values[upper] - values[upper - 1])
    power = 1.0
    if len(points) > 1:
        power = math.log(values[-1] / values[-2]) / math.log(points[-1] / points[-2])
    return values[-1] * math.pow(at / points[-1], min(max(power, 1.0), 2.0))

"""Model the duration of runs on this host by their tokens, as measured and as currently observed."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from pointsman.classify.manifest import MAX_TOKENS

# A batch is long enough at this share of the best throughput.
NEARLY_BEST = 0.95
# A run on all threads uses more CPU for the same tokens, so it must be this much faster. It must also save the time to
# wake sleeping threads, which back-to-back measurements do not show.
WORTH_ALL_THREADS = 1.1
WAKING_SECONDS = 0.0005

# The factor follows the host within about a second of work, which is as far ahead as estimates look. A run that was
# delayed says little about the next one, so it counts as at most SURPRISE times the expected duration.
FADE_SECONDS = 1.0
SURPRISE = 4.0


@dataclass(frozen=True, slots=True)
class CostCurve:
    """Seconds of one run for each of `tokens`, which increase; a longer run never costs less than a shorter one."""

    workers: int
    """Number of concurrent single-threaded runs with the highest throughput."""
    tokens: tuple[int, ...]
    alone: tuple[float, ...]
    """On one thread, while nothing else runs."""
    beside: tuple[float, ...]
    """On one thread, concurrently with other such runs, `workers` in all."""
    wide: tuple[float, ...]
    """On all threads, while nothing else runs; empty if there is only one thread."""

    def __post_init__(self) -> None:
        """Raise ValueError for a curve that cannot have been measured."""
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
        """Return the seconds of a run of `tokens`, under the concurrency that it will meet."""
        return interpolate(self.tokens, self.wide if wide else self.beside, tokens)

    @property
    def batch_tokens(self) -> int:
        """Return the smallest batch within 5 % of peak throughput; longer ones would only delay other texts."""
        rates = [tokens / seconds for tokens, seconds in zip(self.tokens, self.beside, strict=True)]
        return next(n for n, rate in zip(self.tokens, rates, strict=True) if rate >= NEARLY_BEST * max(rates))

    def longest(self, seconds: float) -> int:
        """Return the most tokens whose run takes at most `seconds`, at least those of the shortest measured run.

        Only the first three binary digits are kept, so that two measurements mostly agree.
        """
        if self.seconds(MAX_TOKENS) <= seconds:
            return MAX_TOKENS
        found = bisect_right(range(1, MAX_TOKENS), seconds, key=self.seconds)
        step = 1 << max(0, found.bit_length() - 3)
        return max(self.tokens[0], found // step * step)

    @property
    def wide_from(self) -> int | None:
        """Return the tokens from which a lone run is faster on all threads; None if it never is."""
        found = None
        for tokens, alone, wide in zip(reversed(self.tokens), reversed(self.alone), reversed(self.wide), strict=False):
            if wide > min(alone / WORTH_ALL_THREADS, alone - WAKING_SECONDS):
                break
            found = tokens
        return found


class SlowdownTracker:
    """A tracker of how much longer runs take now than when the curve was measured."""

    def __init__(self) -> None:
        self._taken = self._predicted = FADE_SECONDS
        """Seconds of recent runs, as taken and as the curve predicts; older runs decay."""

    @property
    def factor(self) -> float:
        return self._taken / self._predicted

    def observe(self, predicted: float, taken: float) -> None:
        """Record a run that took `taken` seconds, where the curve predicts `predicted`."""
        expected = self.factor * predicted
        decay = math.exp(-expected / FADE_SECONDS)
        self._taken = decay * self._taken + min(taken, SURPRISE * expected)
        self._predicted = decay * self._predicted + predicted


def interpolate(points: Sequence[int], values: Sequence[float], at: int) -> float:
    """Interpolate linearly; return the first value before the first point, and extrapolate by a power after the last.

    The power is that of the last two points, limited to 1 to 2: attention makes it grow from 1 towards 2 with the
    length.
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

"""Compare two sides while the data come in: valid whenever and however often it is computed; pure.

For shares: the likelihood of both sides under Krichevsky and Trofimov's mixtures, over the greatest likelihood of any
share that both have. Without a difference, that ratio ever reaches 1 / alpha with a probability of at most alpha,
whatever the share is and however the rows are divided. The same is true for means of values from 0 to 1, whatever their
distribution is: the ratio is convex in each value, so that values in between only make it smaller on average.

For means: a mixture sequential probability ratio test with a normal prior on the difference and the variances measured.
The same is true as far as means of MIN_ROWS rows are normal.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TypeAlias

MIN_ROWS = 50
ALPHA = 0.05


Share: TypeAlias = tuple[float, int]
"""The number of rows that count, or the sum of their values from 0 to 1; and the number of rows."""


def counted(shares: Collection[Share], least: int) -> Share:
    """Return the counted shares of the authors: nothing with fewer than `least`, and no author more than all others.

    With a `least` of 1, everything counts.
    """
    if least == 1:
        return sum(part for part, _ in shares), sum(rows for _, rows in shares)
    if len(shares) < least:
        return 0.0, 0
    rows, part = at_most_half([(rows, part) for part, rows in shares])
    return part, round(rows)


def at_most_half(parts: Collection[tuple[float, ...]]) -> list[float]:
    """Return the sums over people of their rows, and of what else is known of each.

    Of the person with the most rows no more counts than of all others, unless there is no other.
    """
    sums = [sum(column) for column in zip(*parts, strict=True)]
    most = max(parts)
    others = sums[0] - most[0]
    surplus = 1 - others / most[0] if 0 < others < most[0] else 0.0
    return [whole - surplus * part for whole, part in zip(sums, most, strict=True)]


def shares_differ(first: Share, second: Share, alpha: float = ALPHA) -> bool:
    """Return whether two shares certainly differ."""
    hits, rows = first[0] + second[0], first[1] + second[1]
    separate = _mixture(*first) + _mixture(*second)
    together = _times_log(hits, rows) + _times_log(rows - hits, rows)
    return separate - together > math.log(1 / alpha)


def _mixture(hits: float, rows: int) -> float:
    """Return the logarithm of the likelihood under a Beta(1/2, 1/2) prior on the share."""
    return math.lgamma(hits + 0.5) + math.lgamma(rows - hits + 0.5) - math.lgamma(rows + 1) - math.log(math.pi)


def _times_log(part: float, whole: int) -> float:
    return part * math.log(part / whole) if part > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The number of rows of one side, their mean, and the variance of that mean."""

    rows: int
    mean: float
    error: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Sample:
        """Return the sample of values."""
        found = list(values)
        rows = len(found)
        if rows < 2:
            return cls(rows, sum(found), math.inf)
        mean = sum(found) / rows
        return cls(rows, mean, sum((value - mean) ** 2 for value in found) / (rows - 1) / rows)

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval of the mean, for a single look."""
        half = 1.96 * math.sqrt(self.error)
        return self.mean - half, self.mean + half


@dataclass(slots=True)
class Moments:
    """The number of values, their sum and that of their squares."""

    rows: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.rows += 1
        self.total += value
        self.squares += value * value

    def change(self, before: float, after: float) -> None:
        """Replace a value."""
        self.total += after - before
        self.squares += after * after - before * before

    def sample(self) -> Sample:
        """Return the mean and its variance."""
        if self.rows < 2:
            return Sample(self.rows, self.total, math.inf)
        mean = self.total / self.rows
        variance = max(0.0, self.squares - self.rows * mean * mean) / (self.rows - 1)
        return Sample(self.rows, mean, variance / self.rows)


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two means; it is from `low` to `high` at all times together, except with probability alpha."""

    value: float
    low: float
    high: float

    @property
    def certain(self) -> bool:
        """Return whether it is not 0."""
        return self.low > 0 or self.high < 0


def difference(first: Sample, second: Sample, scale: float, alpha: float = ALPHA) -> Difference | None:
    """Return the difference first - second; None with fewer than MIN_ROWS rows on a side.

    `scale` is the size of differences that matter, the prior's standard deviation. It changes how soon a difference is
    found, not how often a false one is.
    """
    if min(first.rows, second.rows) < MIN_ROWS:
        return None
    variance = max(first.error + second.error, 1e-12)
    total = variance + scale * scale
    radius = math.sqrt(variance * total * (2 * math.log(1 / alpha) + math.log(total / variance))) / scale
    value = first.mean - second.mean
    return Difference(value, value - radius, value + radius)

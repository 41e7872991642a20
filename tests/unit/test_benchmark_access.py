"""How the benchmark of client keys judges a difference."""

from __future__ import annotations

import math

import access
import pytest


@pytest.mark.parametrize("count", [20, 101, 1000])
def test_the_interval_has_the_median_with_the_confidence_that_it_says(count: int) -> None:
    """A value is below the median as often as a coin shows heads, so the ranks tell how sure it is."""
    low, high = access.interval(list(range(count)))
    within = sum(math.comb(count, below) for below in range(int(low) + 1, int(high) + 1))
    assert 0.99 <= within / 2**count <= 0.996


def test_the_order_of_the_values_does_not_matter() -> None:
    assert access.interval([3, 1, 2] * 40) == access.interval(sorted([3, 1, 2] * 40))

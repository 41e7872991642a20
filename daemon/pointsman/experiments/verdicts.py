"""Judge two sides of an experiment: only differences that are certain, whenever and however often it is done; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pointsman.experiments.arms import ArmStatistics
from pointsman.experiments.sequential import ALPHA, Share, counted, difference, shares_differ

# Failures, the first byte, scores and one label are judged: each gets an equal part of the error probability.
EACH = ALPHA / 4
# Differences of the first byte that matter: a fifth.
SCALE = 0.2
C = TypeVar("C", bound=ArmStatistics)


def verdicts(first: ArmStatistics, second: ArmStatistics, authors: int) -> list[str]:
    """Return what is certain, whenever and however often it is computed; empty if nothing is.

    Feedback is certain only if this many `authors` have given some on each side.
    """
    found = []
    if (sides := order(first, second, lambda side: side.failures())) is not None:
        found.append(f"{sides[1]} fails less often than {sides[0]}")
    times = difference(first.first_bytes(), second.first_bytes(), SCALE, EACH)
    if times is not None and times.certain:
        faster, slower = (second, first) if times.value > 0 else (first, second)
        found.append(f"{faster.name} begins to answer sooner than {slower.name}")
    if (sides := order(first, second, lambda side: counted(side.scored(), authors))) is not None:
        found.append(f"{sides[0]} is scored higher than {sides[1]}")
    return found


def order(first: C, second: C, share: Callable[[C], Share]) -> tuple[str, str] | None:
    """Return the sides' names, the one with the greater share first; None if the shares do not certainly differ."""
    (part, rows), (other, others) = share(first), share(second)
    if not shares_differ((part, rows), (other, others), alpha=EACH):
        return None
    return (first.name, second.name) if part / rows > other / others else (second.name, first.name)

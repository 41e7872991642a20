"""Judge two sides of an experiment: only differences that are certain, whenever and however often it is done; pure."""

from __future__ import annotations

from pointsman.experiments.sequential import ALPHA, Difference, Share, counted, difference, shares_differ
from pointsman.experiments.tally import Tally

# Failures, the first byte, scores and one label are judged: each gets an equal part of the error probability.
EACH = ALPHA / 4
# Differences of the first byte that matter: a fifth.
SCALE = 0.2


def verdicts(first: Tally, second: Tally, authors: int) -> list[str]:
    """Return what is certain, whenever and however often it is computed; empty if nothing is.

    Feedback is certain only if this many `authors` have given some on each side.
    """
    found = []
    if (sides := _order(first, second, first.failures(), second.failures())) is not None:
        found.append(f"{sides[1]} fails less often than {sides[0]}")
    times = first_bytes_differ(first, second)
    if times is not None and times.certain:
        faster, slower = (second, first) if times.value > 0 else (first, second)
        found.append(f"{faster.name} begins to answer sooner than {slower.name}")
    scores = [counted(side.scored(), authors) for side in (first, second)]
    if (sides := _order(first, second, *scores)) is not None:
        found.append(f"{sides[0]} is scored higher than {sides[1]}")
    return found


def label_verdicts(first: Tally, second: Tally, authors: int, label: str) -> list[str]:
    """Return the verdicts on the label that both judge.

    It must be chosen in advance: choosing it by the results would make false verdicts more frequent.
    """
    shares = [counted(side.judged(), authors) for side in (first, second)]
    sides = _order(first, second, *shares)
    return [] if sides is None else [f"{sides[0]} is labeled {label} more often than {sides[1]}"]


def first_bytes_differ(first: Tally, second: Tally) -> Difference | None:
    """Return the difference of the logarithms of the first bytes, with bounds that are valid at all times together."""
    return difference(first.first_bytes(), second.first_bytes(), SCALE, EACH)


def _order(first: Tally, second: Tally, share: Share, other: Share) -> tuple[str, str] | None:
    """Return the sides' names, the one with the greater share first; None if the shares do not certainly differ."""
    if not shares_differ(share, other, alpha=EACH):
        return None
    return (first.name, second.name) if share[0] / share[1] > other[0] / other[1] else (second.name, first.name)

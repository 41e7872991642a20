"""Count the texts on which two classifiers agree, and their differences."""

from __future__ import annotations

from collections import Counter
from typing import Any

from pointsman.intervals import share_interval
from pointsman.routing.opinion import Opinion

Pair = tuple[str | None, str | None]
"""The answers by the deciding classifier, and by the other: a category, or None for the default model."""

MAX_CHOICE_PAIRS = 200
"""Pairs of categories that differ; those that come later are counted together."""
REST: Pair = ("*", "*")


class ClassifierAgreement:
    """The counts of one pair of classifiers; bounded, however many categories there are."""

    def __init__(self) -> None:
        self.compared = 0
        self.agreed = 0
        self.rerouted = 0
        """Texts that another model would answer."""
        self.pairs: Counter[Pair] = Counter()
        self._differences = 0.0
        self._confident = 0

    def add(self, first: Opinion, second: Opinion) -> Pair | None:
        """Count a text; return its pair if the categories differ."""
        self.compared += 1
        self.rerouted += first.model != second.model
        if first.confidence is not None and second.confidence is not None:
            self._differences += second.confidence - first.confidence
            self._confident += 1
        if first.category == second.category:
            self.agreed += 1
            return None
        pair: Pair = first.category, second.category
        if pair not in self.pairs and len(self.pairs) >= MAX_CHOICE_PAIRS:
            pair = REST
        self.pairs[pair] += 1
        return pair

    def report(self) -> dict[str, Any]:
        """Return the counts, shares with their 95 % intervals, and the pairs that differ, the most frequent first."""
        return {
            "compared": self.compared,
            "agreed": _share(self.agreed, self.compared),
            "rerouted": _share(self.rerouted, self.compared),
            "confidence_difference": round(self._differences / self._confident, 4) if self._confident else None,
            "pairs": [
                {"category": first, "shadow": second, "texts": texts}
                for (first, second), texts in self.pairs.most_common()
            ],
        }


def _share(part: int, whole: int) -> dict[str, Any]:
    if not whole:
        return {"texts": part, "share": None, "low": None, "high": None}
    low, high = share_interval(part, whole)
    return {"texts": part, "share": round(part / whole, 4), "low": round(low, 4), "high": round(high, 4)}

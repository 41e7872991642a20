"""Count by client key and model together, for the page: as labels in Prometheus these pairs would be too many."""

from __future__ import annotations

from collections.abc import Iterable

# As many as 64 keys that use 16 models each.
MAX_PAIRS = 1024
OTHERS = "other"
Pair = tuple[str, str]
"""A key and a model."""


class UsageCounts:
    """Requests, those answered with 5xx, and tokens since the start; pairs beyond the first MAX_PAIRS share a count."""

    def __init__(self) -> None:
        self._counts: dict[Pair, list[int]] = {}

    def add(self, key: str, model: str, *, requests: int, failed: int, tokens: tuple[int, int]) -> None:
        """Count requests of a key for a model."""
        counts = self._counts.get((key, model))
        if counts is None:
            pair = (key, model) if len(self._counts) < MAX_PAIRS else (OTHERS, OTHERS)
            counts = self._counts.setdefault(pair, [0, 0, 0, 0])
        counts[0] += requests
        counts[1] += failed
        counts[2] += tokens[0]
        counts[3] += tokens[1]

    def items(self) -> Iterable[tuple[Pair, list[int]]]:
        """Return the pairs with requests, failed ones, prompt tokens and completion tokens."""
        return self._counts.items()

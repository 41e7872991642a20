"""Which endpoint takes the next request: the least in flight by weight, and by chance where that is equal."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator

from pointsman.config.model import Endpoint


class Endpoints:
    """Counts what is in flight, by endpoint name."""

    def __init__(self) -> None:
        self.in_flight: Counter[str] = Counter()

    @contextlib.contextmanager
    def lease(self, candidates: tuple[Endpoint, ...]) -> Iterator[Endpoint]:
        """The best of `candidates`, counted as in flight until the block ends."""
        endpoint = min(candidates, key=self._load)
        self.in_flight[endpoint.name] += 1
        try:
            yield endpoint
        finally:
            self.in_flight[endpoint.name] -= 1

    def _load(self, endpoint: Endpoint) -> tuple[float, float]:
        """Weighted chance by Efraimidis and Spirakis (2006): the greatest u^(1/weight) wins as often as its share."""
        if endpoint.weight == 0:
            return float("inf"), 0.0
        return self.in_flight[endpoint.name] / endpoint.weight, -(random.random() ** (1 / endpoint.weight))  # noqa: S311

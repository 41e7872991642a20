"""Which endpoint takes the next request: least in flight by weight, then least served by weight."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator

from pointsman.config.model import Endpoint


class Endpoints:
    """Counts what is in flight and what was served, by endpoint name."""

    def __init__(self) -> None:
        self.in_flight: Counter[str] = Counter()
        self._served: Counter[str] = Counter()

    @contextlib.contextmanager
    def lease(self, candidates: tuple[Endpoint, ...]) -> Iterator[Endpoint]:
        """The best of `candidates`, counted as in flight until the block ends."""
        endpoint = min(candidates, key=self._load)
        self.in_flight[endpoint.name] += 1
        self._served[endpoint.name] += 1
        try:
            yield endpoint
        finally:
            self.in_flight[endpoint.name] -= 1

    def _load(self, endpoint: Endpoint) -> tuple[float, float]:
        if endpoint.weight == 0:
            return float("inf"), 0.0
        return self.in_flight[endpoint.name] / endpoint.weight, (self._served[endpoint.name] + 1) / endpoint.weight

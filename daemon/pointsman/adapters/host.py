"""What is known of one vLLM and its adapters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pointsman.adapters.catalog import Card


@dataclass(frozen=True, slots=True)
class Failure:
    """An adapter that could not be loaded: how often in a row, why, and the loop's time of the next try.

    `deadly`: vLLM gave no answer, so that it may be down because of it.
    """

    times: int
    message: str
    again: float
    deadly: bool


@dataclass(slots=True, eq=False)
class Host:
    """What is known of one vLLM and its adapters. It outlives a config that keeps the endpoint."""

    cards: tuple[Card, ...] | None = None
    """What it last said that it serves."""
    trouble: str | None = None
    """Why it did not say so when it was last asked."""
    refused: set[str] = field(default_factory=set)
    """Names that it answered with 404 since."""
    withheld: set[str] = field(default_factory=set)
    """Adapters that are not proved to answer yet, or are about to go."""
    held: set[str] = field(default_factory=set)
    """Adapters that an operator unloaded: they stay away until one loads them."""
    failures: dict[str, Failure] = field(default_factory=dict)
    loading: str | None = None
    down: bool = False
    """No connection to it comes about."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while its adapters are changed."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set where it should be asked at once."""

    def lists(self, name: str) -> bool:
        """Whether it said that it serves `name`."""
        return any(card.id == name for card in self.cards or ())

"""The state of one vLLM and its adapters."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from pointsman.adapters.catalog import ModelCard


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """An adapter that failed to load: failures in a row, the message, and the next attempt in the loop's time.

    `deadly`: vLLM did not answer, so the adapter may have crashed it.
    """

    times: int
    message: str
    again: float
    deadly: bool


@dataclass(slots=True, eq=False)
class Host:
    """The state of one vLLM and its adapters, shared by every config that has the endpoint."""

    cards: tuple[ModelCard, ...] | None = None
    """Entries of the last `/v1/models` response."""
    trouble: str | None = None
    """Error of the last `/v1/models` request, or None."""
    refused: set[str] = field(default_factory=set)
    """Names answered with 404 since the last `/v1/models` response."""
    withheld: set[str] = field(default_factory=set)
    """Adapters that have not answered a probe yet, or are being unloaded."""
    unloaded: set[str] = field(default_factory=set)
    """Adapters unloaded by an operator; they are not loaded again automatically."""
    failures: dict[str, LoadFailure] = field(default_factory=dict)
    loading: str | None = None
    down: bool = False
    """True while no connection can be made."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Locked while adapters are loaded or unloaded."""
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    """Set to request a poll at once."""

    def lists(self, name: str) -> bool:
        """Return whether vLLM listed `name` in its last response."""
        return any(card.id == name for card in self.cards or ())

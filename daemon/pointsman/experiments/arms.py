"""Describe one side of an experiment."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from pointsman.config.model import Config
from pointsman.experiments.sequential import Sample, Share

MAX_LABELS = 5
"""The most frequent labels of feedback that a comparison shows."""


@dataclass(slots=True)
class ConversationOutcome:
    """The facts about a conversation on one side."""

    failed: bool = False
    first_byte: float | None = None
    """In milliseconds, of its first request that was answered."""
    tokens: int = 0
    cost: float = 0.0


@dataclass(slots=True)
class Rating:
    """One author's feedback on a conversation's answers on one side."""

    author: str = ""
    scores: int = 0
    total: float = 0.0
    labels: set[str] = field(default_factory=set)


class ArmStatistics(Protocol):
    """A side to judge; its methods are those of `ArmResults`."""

    @property
    def name(self) -> str: ...
    def failures(self) -> tuple[int, int]: ...
    def first_bytes(self) -> Sample: ...
    def scored(self) -> Collection[Share]: ...


def prices_of(config: Config) -> dict[str, tuple[float, float]]:
    """Return the price of a prompt token and of a completion token, by model and adapter."""
    found: dict[str, tuple[float, float]] = {}
    for base, model in config.model_config.items():
        if model.pricing is not None:
            price = model.pricing.prompt_per_1m / 1e6, model.pricing.completion_per_1m / 1e6
            found |= dict.fromkeys((base, *(lora.name for lora in model.loras)), price)
    return found

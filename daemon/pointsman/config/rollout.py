"""Define how much of the automatic traffic is routed, in all and by category, and canaries."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pointsman.config.option import option

Mode = Literal["off", "shadow", "percent", "on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """An adapter that gets a share of a category; the models that have the category are the stable arm."""

    adapter: str = option("The adapter on trial; it needs no entry in the category's `model_scores`.")
    percent: float = option("Its share of the category's conversations.", minimum=0, maximum=100)
    max_failures: float = option(
        "It is rolled back where its share of failures certainly exceeds that of the stable arm, by more than this.",
        0.05,
        minimum=0,
        maximum=1,
    )
    max_first_byte: float = option(
        "It is rolled back where its time to the first byte is certainly longer, by more than this factor.",
        2.0,
        minimum=1,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRollout:
    mode: Literal["shadow", "percent", "on"] | None = option(
        "`routing.mode` for this category; by default that one applies.", None
    )
    percent: float | None = option(
        "`routing.percent` for this category, with its own `mode: percent`.", None, minimum=0, maximum=100
    )
    canary: Canary | None = option("An adapter on trial.", None)

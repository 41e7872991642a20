"""Define how much of the automatic traffic is routed, in all and by category, and canaries."""

# ruff: noqa: RUF009 - `option()` is `dataclasses.field()` with its metadata named
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pointsman.config.option import option
from pointsman.config.source_map import SourceMap
from pointsman.errors import Problem

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


def problems(mode: str | None, percent: float | None, source_map: SourceMap) -> Iterator[Problem]:
    """Yield a mode without its share, or a share without its mode."""
    if not source_map.known("mode") or not source_map.known("percent"):
        return
    if mode == "percent" and percent is None:
        yield source_map.problem(("mode",), "the share is missing", "add `percent:` from 0 to 100")
    if mode != "percent" and percent is not None:
        message = "percent has no effect without `mode: percent`"
        yield source_map.problem(("percent",), message, "write `mode: percent`, or remove it")

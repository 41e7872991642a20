"""Define how much of the automatic traffic is routed, in all and by category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pointsman.config.options.option import option

Mode = Literal["off", "shadow", "percent", "on"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryRollout:
    mode: Literal["shadow", "percent", "on"] | None = option(
        "`routing.mode` for this category; by default that one holds.", None
    )
    percent: float | None = option(
        "`routing.percent` for this category, with its own `mode: percent`.", None, minimum=0, maximum=100
    )

"""Compare measurements with targets; pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Sign = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class PerformanceTarget:
    """A target; `measured` and `wanted` have the same unit, and `at` says where the worst value was measured."""

    what: str
    measured: float
    sign: Sign
    wanted: float
    at: str = ""

    @property
    def met(self) -> bool:
        """Return whether the target is met; False if it could not be measured."""
        return self.measured >= self.wanted if self.sign == "at least" else self.measured <= self.wanted

    def row(self) -> str:
        """Return a table row: what, measured, wanted, verdict."""
        unknown = math.isnan(self.measured) or math.isnan(self.wanted)
        verdict = "not measured" if unknown else "met" if self.met else "not met"
        measured = f"{self._measured()} {self.at}".strip()
        return f"| {self.what} | {measured} | {self.sign} {_figure(self.wanted)} | {verdict} |"

    def _measured(self) -> str:
        """Return the figure, with as many more digits as show that it misses the target."""
        figures = [_figure(self.measured, digits) for digits in range(3, 9)]
        return figures[0] if self.met else next((one for one in figures if one != _figure(self.wanted)), figures[0])


def at_least(what: str, wanted: float, measured: Mapping[str, float]) -> PerformanceTarget:
    """Return a target for the lowest of `measured`, which is keyed by where."""
    return _worst(what, measured, "at least", wanted)


def at_most(what: str, wanted: float, measured: Mapping[str, float]) -> PerformanceTarget:
    """Return a target for the highest of `measured`, which is keyed by where."""
    return _worst(what, measured, "at most", wanted)


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median ratio over the rounds, in which a slow moment affects both; NaN without complete rounds."""
    pairs = list(zip(numerators, denominators, strict=False))
    return statistics.median(a / b for a, b in pairs) if pairs else math.nan


def difference(minuends: Sequence[float], subtrahends: Sequence[float]) -> float:
    """Return the median difference over the rounds; NaN without complete rounds."""
    pairs = list(zip(minuends, subtrahends, strict=False))
    return statistics.median(a - b for a, b in pairs) if pairs else math.nan


def median(values: Sequence[float]) -> float:
    """Return the median, or NaN without values."""
    return statistics.median(values) if values else math.nan


def quantile(values: Iterable[float], share: float) -> float:
    """Return the quantile by nearest rank, or NaN without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def _worst(what: str, measured: Mapping[str, float], sign: Sign, wanted: float) -> PerformanceTarget:
    known = {at: value for at, value in measured.items() if not math.isnan(value)}
    at = (min if sign == "at least" else max)(known, key=known.__getitem__, default="")
    return PerformanceTarget(what, known.get(at, math.nan), sign, wanted, at)


def _figure(value: float, digits: int = 3) -> str:
    decimals = max(0, digits - 3)
    return "?" if math.isnan(value) else f"{value:,.{decimals}f}" if abs(value) >= 100 else f"{value:.{digits}g}"

"""Report both errors of thresholds on calibration rows: missing the own category, and reaching a wrong one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pointsman.intervals import share_interval
from pointsman.routing.thresholds import SHOWN_PRECISION, Threshold, ThresholdCounts, ThresholdOrigin


class RowProportion(NamedTuple):
    """A share of rows, with Wilson's 95 % interval."""

    part: int
    whole: int
    low: float
    high: float

    def __str__(self) -> str:
        if not self.whole:
            return "-"
        share, low, high = (round(100 * value) for value in (self.part / self.whole, self.low, self.high))
        return f"{share} % ({low} to {high}) of {self.whole}"


class ThresholdErrors(NamedTuple):
    """A threshold and its origin, the share of the category's rows that reach it, and their share of all that do."""

    threshold: float
    origin: ThresholdOrigin
    reach: RowProportion
    precision: RowProportion


class CategoryErrors(NamedTuple):
    """The errors of a category in use, and those at SHOWN_PRECISION."""

    category: str
    in_use: ThresholdErrors
    at_precision: ThresholdErrors


HEAD = ("category", "threshold", "reach", "precision", "by", f"at precision {SHOWN_PRECISION:g}:", "reach", "precision")
_NOTES = {ThresholdOrigin.NOT_REACHED: " (not reached)", ThresholdOrigin.FEW_ROWS: " (too few rows)"}


def both_errors(found: Mapping[str, Threshold], at_precision: Mapping[str, Threshold]) -> Iterator[CategoryErrors]:
    """Yield the errors of each category."""
    for name, threshold in found.items():
        yield CategoryErrors(name, _errors(threshold), _errors(at_precision[name]))


def cells(one: CategoryErrors) -> tuple[str, ...]:
    """Return a row of the table with this HEAD."""
    used, stated = one.in_use, one.at_precision
    threshold = f"{stated.threshold:g}{_NOTES.get(stated.origin, '')}"
    shares = [(str(it.reach), str(it.precision)) for it in (used, stated)]
    return one.category, f"{used.threshold:g}", *shares[0], used.origin, threshold, *shares[1]


def _errors(threshold: Threshold) -> ThresholdErrors:
    rows = threshold.measured or ThresholdCounts(0, 0, 0)
    return ThresholdErrors(
        threshold.value, threshold.origin, _part(rows.right, rows.own), _part(rows.right, rows.chosen)
    )


def _part(part: int, whole: int) -> RowProportion:
    return RowProportion(part, whole, *share_interval(part, whole))

"""Measure the accuracy that the shipped graph loses to the float graph on labeled rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pointsman.evaluation.metrics import Ints
from pointsman_export.common.errors import AccuracyError
from pointsman_export.common.shares import percent, points
from pointsman_export.export.agreement import REMEDIES, WORST
from pointsman_export.export.runtime import Logits


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Rows counted by label: all rows, and those that the float graph and the shipped graph label correctly."""

    rows: Counter[str]
    float_right: Counter[str]
    shipped_right: Counter[str]

    @property
    def of_float(self) -> float:
        """Return the float graph's accuracy."""
        return self.float_right.total() / self.rows.total()

    @property
    def of_shipped(self) -> float:
        """Return the shipped graph's accuracy."""
        return self.shipped_right.total() / self.rows.total()

    @property
    def drop(self) -> float:
        """Return the float graph's accuracy minus the shipped graph's; negative if the shipped graph is better."""
        return (self.float_right.total() - self.shipped_right.total()) / self.rows.total()

    def worst(self) -> str:
        """Name the labels that lose the most correct answers."""
        lost = {label: self.float_right[label] - self.shipped_right[label] for label in self.rows}
        ranked = sorted((label for label in lost if lost[label] > 0), key=lambda label: (-lost[label], label))
        return "; ".join(
            f"{label}: {self.float_right[label]} right of {self.rows[label]} became {self.shipped_right[label]}"
            for label in ranked[:WORST]
        )


def check_accuracy(
    expected: Logits, found: Logits, precision: str, truth: Ints, labels: list[str], max_drop: float
) -> Accuracy:
    """Compare the logits [rows, labels] of both graphs; raises AccuracyError if the drop exceeds `max_drop`."""
    accuracy = Accuracy(
        rows=Counter(labels[index] for index in truth),
        float_right=_right(expected, truth, labels),
        shipped_right=_right(found, truth, labels),
    )
    if accuracy.drop > max_drop:
        raise AccuracyError(
            f"{precision} is right on {percent(accuracy.of_shipped)} of {accuracy.rows.total()} labeled rows, "
            f"the float graph on {percent(accuracy.of_float)}: a drop of {points(accuracy.drop)}, "
            f"allowed {points(max_drop)}; worst: {accuracy.worst()};{REMEDIES[precision]} "
            "or accept the loss with a higher --max-drop"
        )
    return accuracy


def _right(logits: Logits, truth: Ints, labels: list[str]) -> Counter[str]:
    return Counter(labels[index] for index in truth[logits.argmax(axis=1) == truth])

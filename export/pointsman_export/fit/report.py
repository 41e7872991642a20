"""Report the results of a fit: figures for the manifest; quality, confusions and advice for people."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointsman.evaluation.metrics import Ints, LabelScore, confusion, label_scores, macro_f1
from pointsman.intervals import share_interval
from pointsman_export.common.shares import percent
from pointsman_export.fit.data import TrainingRows

_LOW_RECALL = 0.85
_PAIRS = 5
_EXAMPLES = 3
_EXAMPLE_WIDTH = 70
_WANTED_ROWS = 50
_Z_ONE_SIDED = 1.645


@dataclass(frozen=True, slots=True, kw_only=True)
class FitReport:
    """The measurements of a fit.

    `predicted` and `by_half` (label indices, shape [rows]) are by heads that did not see the row, the latter by heads
    of half as many rows. `threshold` is None if no score reaches `precision`; `coverage` is the share of rows at or
    above it.
    """

    rows: TrainingRows
    predicted: Ints
    by_half: Ints
    folds: int
    strength: float
    temperature: float
    calibration_error: float
    precision: float
    threshold: float | None
    coverage: float
    data: str
    data_sha256: str
    seconds: float

    def figures(self) -> dict[str, Any]:
        """Return the manifest's `verification`: numbers and labels, none of the texts."""
        matrix = self._confusion()
        low, high = self._interval()
        return {
            "cross_validation": {
                "folds": self.folds,
                "rows": len(self.predicted),
                "accuracy": self._accuracy(self.predicted),
                "interval_95": [low, high],
                "accuracy_by_half_of_the_rows": self._accuracy(self.by_half),
                "macro_f1": macro_f1(label_scores(matrix)),
                "labels": {
                    label: {"rows": score.rows, "precision": score.precision, "recall": score.recall, "f1": score.f1}
                    for label, score in self._scores()
                },
                "confusion": {"axes": ["true", "predicted"], "counts": matrix.tolist()},
                "calibration_error": self.calibration_error,
                "threshold": {"precision": self.precision, "coverage": self.coverage},
            },
            "l2": self.strength,
            "data": {"name": self.data, "sha256": self.data_sha256},
            "warnings": self.rows.warnings,
        }

    def table(self) -> str:
        """Format one line per result, the labels as a table, then advice."""
        low, high = self._interval()
        matrix = self._confusion()
        accuracy = f"{self._accuracy(self.predicted):.2f} (95 % interval {low:.2f} to {high:.2f})"
        lines = [
            ("data", f"{len(self.predicted)} rows of {self.data}, {len(self.rows.labels)} labels"),
            ("accuracy", f"{accuracy}, {self.folds}-fold cross-validation"),
            ("macro-F1", f"{macro_f1(label_scores(matrix)):.2f}"),
            ("rows", self._learning()),
            ("calibration", f"temperature {self.temperature:.2f}, expected error {self.calibration_error:.3f}"),
            ("threshold", self._threshold()),
            ("", "both are fitted and measured on the same rows, so expect somewhat less on new ones"),
            ("time", f"{self.seconds:.1f} s"),
        ]
        head = [f"  {name:<12}{value}" for name, value in lines]
        return "\n".join([*head, *self._label_table(), *self._pairs(matrix), *self._advice(), *self._warnings()])

    def _accuracy(self, predicted: Ints) -> float:
        return float((predicted == self.rows.truth).mean())

    def _interval(self) -> tuple[float, float]:
        return share_interval(int((self.predicted == self.rows.truth).sum()), len(self.predicted))

    def _confusion(self) -> npt.NDArray[np.int64]:
        return confusion(self.rows.truth, self.predicted, len(self.rows.labels))

    def _scores(self) -> list[tuple[str, LabelScore]]:
        return list(zip(self.rows.labels, label_scores(self._confusion()), strict=True))

    def _learning(self) -> str:
        """Say if all the rows beat half of them by more than chance (McNemar's test, one-sided 95 %)."""
        right, half_right = self.predicted == self.rows.truth, self.by_half == self.rows.truth
        won, lost = int((right & ~half_right).sum()), int((half_right & ~right).sum())
        clear = won - lost > _Z_ONE_SIDED * math.sqrt(won + lost)
        said = "more would help still" if clear else "no clear gain from the other half"
        return f"half of them gives {self._accuracy(self.by_half):.2f}: {said}"

    def _threshold(self) -> str:
        if self.threshold is None:
            return f"none suggested: no score is sure enough for a precision of {self.precision:g}"
        reach = f"the {percent(self.coverage)} of the rows that reach it"
        return f"{self.threshold:.2f} suggested: precision {self.precision:g} for {reach}"

    def _label_table(self) -> list[str]:
        width = max(len("label"), *map(len, self.rows.labels))
        lines = [f"\n  {'label':<{width}}  rows  precision  recall"]
        for label, score in self._scores():
            precision = "   -" if score.precision is None else f"{score.precision:.2f}"
            lines.append(f"  {label:<{width}}  {score.rows:>4}  {precision:>9}  {score.recall or 0:>6.2f}")
        return lines

    def _pairs(self, matrix: npt.NDArray[np.int64]) -> list[str]:
        """List the pairs of labels that are confused most; a pair with one row is chance and left out."""
        labels = self.rows.labels
        off = [
            (int(matrix[true, other]), true, other)
            for true in range(len(labels))
            for other in range(len(labels))
            if true != other and matrix[true, other] > 1
        ]
        ranked = sorted(off, key=lambda item: (-item[0], item[1:]))[:_PAIRS]
        lines = [
            f"  {labels[true]} taken for {labels[other]}: {count} of {matrix[true].sum()}"
            for count, true, other in ranked
        ]
        return ["\nconfused", *lines] if lines else []

    def _advice(self) -> list[str]:
        """List the labels whose rows are missed most, the worst first, with the rows to add."""
        missed = sorted(
            (score.recall or 0, label, score.rows)
            for label, score in self._scores()
            if (score.recall or 0) < _LOW_RECALL
        )
        lines = []
        for recall, label, rows in missed:
            lines.append(
                f"  label {label}: recall {recall:.2f} with {rows} rows: add about {rows_to_add(rows)} more like"
            )
            lines += [f"    {text}" for text in self._examples(label)]
        return ["\nadd", *lines] if lines else []

    def _examples(self, label: str) -> list[str]:
        number = self.rows.labels.index(label)
        indices = np.flatnonzero((self.rows.truth == number) & (self.predicted != number))[:_EXAMPLES]
        return [
            f"{_short(self.rows.texts[index])!r} (taken for {self.rows.labels[self.predicted[index]]})"
            for index in indices
        ]

    def _warnings(self) -> list[str]:
        return ["", *(f"warning: {warning}" for warning in self.rows.warnings)] if self.rows.warnings else []


def rows_to_add(rows: int) -> int:
    """Return the number of rows to add, in tens, by a rule of thumb: the rows missing of 50, or half as many again."""
    return -(-max(_WANTED_ROWS - rows, rows // 2) // 10) * 10


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _EXAMPLE_WIDTH else f"{line[: _EXAMPLE_WIDTH - 1]}…"

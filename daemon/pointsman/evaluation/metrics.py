"""Compute metrics of a classifier on labeled rows; pure functions.

`probabilities` has shape [n, labels]; `truth` and `predicted` have shape [n] and index the labels; `confidence` (a
probability) and `correct` (bool) have shape [n].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.integer[Any]]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LabelScore:
    """The figures of one label; None where they are undefined."""

    rows: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The rows with a confidence in (low, high], or [low, high] for the first bin; None if there are none."""

    low: float
    high: float
    rows: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """A point of the coverage curve: the share of rows at or above a threshold, and their accuracy (None: no row)."""

    threshold: float
    coverage: float
    accuracy: float | None


def confusion(truth: Ints, predicted: Ints, labels: int) -> npt.NDArray[np.int64]:
    """Return the rows by true label (first axis) and predicted label (second), shape [labels, labels]."""
    counts = np.bincount(truth * labels + predicted, minlength=labels * labels)
    return counts.astype(np.int64).reshape(labels, labels)


def label_scores(matrix: npt.NDArray[np.int64]) -> list[LabelScore]:
    """Return rows, precision, recall and F1 of each label of a confusion matrix."""
    hits, rows, named = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    return [
        LabelScore(
            rows=int(rows[i]),
            precision=_ratio(hits[i], named[i]),
            recall=_ratio(hits[i], rows[i]),
            f1=_ratio(2 * hits[i], rows[i] + named[i]),
        )
        for i in range(len(matrix))
    ]


def macro_f1(scores: Sequence[LabelScore]) -> float:
    """Return the mean F1 of the labels that have rows; other labels say nothing about the classifier."""
    known = [score.f1 for score in scores if score.rows and score.f1 is not None]
    return sum(known) / len(known) if known else 0.0


def reliability(confidence: Floats, correct: Bools, bins: int = 15) -> list[ReliabilityBin]:
    """Return the mean confidence and the accuracy in `bins` bins of equal width."""
    bin_of_row = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return [
        ReliabilityBin(
            low=i / bins,
            high=(i + 1) / bins,
            rows=int(inside.sum()),
            confidence=_mean(confidence[inside]),
            accuracy=_mean(correct[inside]),
        )
        for i in range(bins)
        for inside in [bin_of_row == i]
    ]


def expected_calibration_error(confidence: Floats, correct: Bools, bins: int = 15) -> float:
    """Return the mean distance of confidence and accuracy over the bins of `reliability`, weighted by rows."""
    gaps = (
        bin_.rows * abs(bin_.accuracy - bin_.confidence)
        for bin_ in reliability(confidence, correct, bins)
        if bin_.accuracy is not None and bin_.confidence is not None
    )
    return sum(gaps) / max(1, len(confidence))


def coverage_curve(confidence: Floats, correct: Bools, thresholds: Sequence[float]) -> list[CoveragePoint]:
    """Return coverage and accuracy at each threshold."""
    points = []
    for threshold in thresholds:
        covered = confidence >= threshold
        points.append(CoveragePoint(threshold, _mean(covered) or 0.0, _mean(correct[covered])))
    return points


def _ratio(part: np.int64, whole: np.int64) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: npt.NDArray[Any]) -> float | None:
    return float(values.mean()) if len(values) else None

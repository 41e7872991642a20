"""Fit a temperature and suggest a threshold, on logits of labeled rows that their model was not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pointsman.classify.calibration import NO_LABEL, encode
from pointsman.classify.engine import softmax
from pointsman.evaluation.calibration import fit_temperature, negative_log_likelihood
from pointsman.evaluation.metrics import Ints, expected_calibration_error
from pointsman.routing.thresholds import suggest_threshold
from pointsman_export.common.shares import percent
from pointsman_export.export.runtime import Logits

_STEPS = 10_000
"""Number of steps between 0 and 1 that the threshold is rounded to, since people copy it into a config."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationResult:
    """The fitted temperature and suggested threshold, with their effect on the rows.

    `encoded` are the rows for the artifact, to which the daemon fits thresholds where a config states a precision.
    NLL (nats per row) and ECE are pairs: at a temperature of 1 and at the fitted one. `coverage` is the share of the
    rows at or above the threshold, and `reached` is their precision. All three are None if no threshold has
    `precision`.
    """

    rows: int
    encoded: bytes
    temperature: float
    nll: tuple[float, float]
    ece: tuple[float, float]
    precision: float
    threshold: float | None
    coverage: float | None
    reached: float | None

    def figures(self) -> dict[str, Any]:
        """Return the figures for the manifest."""
        return {
            "rows": self.rows,
            "temperature": self.temperature,
            "nll": dict(zip(("before", "after"), self.nll, strict=True)),
            "ece": dict(zip(("before", "after"), self.ece, strict=True)),
            "threshold": {
                "asked_precision": self.precision,
                "value": self.threshold,
                "coverage": self.coverage,
                "precision": self.reached,
            },
        }

    def scores_line(self) -> str:
        """Describe the effect of the temperature in the report."""
        return (
            f"temperature {self.temperature:.3f}: NLL {self.nll[0]:.3f} -> {self.nll[1]:.3f}, "
            f"calibration error {self.ece[0]:.3f} -> {self.ece[1]:.3f}"
        )

    def threshold_line(self) -> str:
        """Describe the effect of the threshold in the report."""
        if self.threshold is None or self.coverage is None or self.reached is None:
            return f"none suggested: no score has a precision of {percent(self.precision)} at or above it"
        return (
            f"{self.threshold:g}: {percent(self.coverage)} of the rows reach it, {percent(self.reached)} of these are "
            f"right (asked for {percent(self.precision)})"
        )


def calibrate(logits: Logits, truth: Ints, precision: float) -> CalibrationResult:
    """Calibrate logits [rows, labels] on the indices of the true labels [rows].

    Rows with NO_LABEL count only for the thresholds: no label is right for them.
    """
    labelled = truth != NO_LABEL
    known, answers = logits[labelled], truth[labelled]
    temperature = fit_temperature(known, answers)
    correct = logits.argmax(axis=1) == truth
    probabilities = softmax(logits / temperature)
    before, after = softmax(logits).max(axis=1), probabilities.max(axis=1)
    threshold = suggest_threshold(np.floor(after.astype(np.float64) * _STEPS) / _STEPS, correct, precision)
    reached = correct[after >= threshold] if threshold is not None else None
    return CalibrationResult(
        rows=len(truth),
        encoded=encode(probabilities, truth),
        temperature=temperature,
        nll=(negative_log_likelihood(known, answers), negative_log_likelihood(known / temperature, answers)),
        ece=(
            expected_calibration_error(before[labelled], correct[labelled]),
            expected_calibration_error(after[labelled], correct[labelled]),
        ),
        precision=precision,
        threshold=threshold,
        coverage=None if reached is None else len(reached) / len(truth),
        reached=None if reached is None else float(reached.mean()),
    )

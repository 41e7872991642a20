"""Cross-validate the new head: choose its L2 strength, and predict rows that it did not see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pointsman.classify.regression import Vector
from pointsman.evaluation.calibration import fit_temperature, negative_log_likelihood
from pointsman.evaluation.metrics import Floats, Ints
from pointsman_export.fit.head import fit_heads

STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
"""L2 strengths from strong to weak; with 30 to 200 rows a label, 1 to 300 were chosen."""
FOLDS = 5
MANY_ROWS = 2000
"""With this many rows, a strength is chosen once: one of seven, chosen by so many, does not flatter the figures."""
_INNER_FOLDS = 4
_SEED = 20


@dataclass(frozen=True, slots=True)
class StrengthChoice:
    """The strength that makes left-out rows likeliest, and their logits under it, shape [rows, labels]."""

    strength: float
    logits: Vector


@dataclass(frozen=True, slots=True)
class Validation:
    """Predicted labels (indices, shape [rows]) of rows that were left out.

    `predicted` is by heads that were trained on four fifths of the rows, `by_half` by heads with half of those.
    """

    predicted: Ints
    by_half: Ints


def fold_numbers(truth: Ints, count: int, random: np.random.Generator) -> Ints:
    """Return a fold, 0 to count - 1, for each row.

    Rows are dealt out label by label, so that each fold has a similar share of every label.
    """
    order = random.permutation(len(truth))
    order = order[np.argsort(truth[order], kind="stable")]
    numbers = np.empty(len(truth), dtype=np.int64)
    numbers[order] = np.arange(len(truth)) % count
    return numbers


def choose(features: Floats, truth: Ints, labels: int, folds: int = FOLDS) -> StrengthChoice:
    """Return the best of STRENGTHS by the likelihood of left-out rows, each at its own temperature.

    The temperature is divided out since it is fitted afterwards anyway: without that, a strong penalty would win by
    being less confident rather than by being right. `features` has shape [rows, width], `truth` [rows].
    """
    numbers = fold_numbers(truth, folds, np.random.default_rng(_SEED))
    logits = np.empty((len(STRENGTHS), len(truth), labels))
    for number in range(folds):
        out = numbers == number
        for index, head in enumerate(fit_heads(features[~out], truth[~out], labels, STRENGTHS)):
            logits[index, out] = head.logits(features[out])
    losses = [negative_log_likelihood(values / fit_temperature(values, truth), truth) for values in logits]
    best = int(np.argmin(losses))
    return StrengthChoice(STRENGTHS[best], logits[best])


def cross_validate(
    features: Floats, truth: Ints, labels: int, strength: float, progress: Callable[[int], None]
) -> Validation:
    """Predict each row by a head that saw nothing of it, and whose strength was chosen inside the training rows.

    The validation is nested (Varma and Simon, Bias in error estimation when using cross-validation for model selection,
    2006), since the best strength's figures are too good on the rows that chose it. With MANY_ROWS, all heads have
    `strength`, since choosing again in each fold would take most of the time. `progress` is called with the number of
    finished folds.
    """
    nested = len(truth) < MANY_ROWS
    numbers = fold_numbers(truth, FOLDS, np.random.default_rng(_SEED + 1))
    predicted, by_half = np.empty_like(truth), np.empty_like(truth)
    for number in range(FOLDS):
        out = numbers == number
        seen, known = features[~out], truth[~out]
        chosen = choose(seen, known, labels, _INNER_FOLDS).strength if nested else strength
        half = fold_numbers(known, 2, np.random.default_rng(_SEED + 2)) == 0
        whole_head, half_head = (
            fit_heads(rows, answers, labels, [chosen])[0]
            for rows, answers in ((seen, known), (seen[half], known[half]))
        )
        predicted[out] = whole_head.logits(features[out]).argmax(axis=1)
        by_half[out] = half_head.logits(features[out]).argmax(axis=1)
        progress(number + 1)
    return Validation(predicted, by_half)

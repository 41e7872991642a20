"""The temperature that makes probabilities honest, and the threshold that gives a precision."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.evaluation.calibration import (
    LEAST_TEMPERATURE,
    MOST_TEMPERATURE,
    fit_temperature,
    negative_log_likelihood,
    suggest_threshold,
)
from pointsman.evaluation.metrics import Floats, Ints


def honest(rows: int = 20_000, labels: int = 5) -> tuple[Floats, Ints]:
    """Logits whose softmax is the true distribution of the labels that come with them."""
    random = np.random.default_rng(3)
    logits = random.normal(size=(rows, labels)) * 2
    gumbel = random.gumbel(size=logits.shape)  # its greatest sum with the logits is a draw from their softmax
    return logits, (logits + gumbel).argmax(axis=-1)


@pytest.mark.parametrize("scale", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_temperature_undoes_a_scale_of_the_logits(scale: float, kind: type) -> None:
    logits, truth = honest()

    assert fit_temperature((logits * scale).astype(kind), truth) == pytest.approx(scale, rel=0.03)


def test_no_other_temperature_is_likelier() -> None:
    logits, truth = honest(200)
    best = fit_temperature(logits, truth)

    likeliest = negative_log_likelihood(logits / best, truth)
    assert all(
        likeliest <= negative_log_likelihood(logits / other, truth)
        for other in np.geomspace(LEAST_TEMPERATURE, MOST_TEMPERATURE, 200)
    )


def test_the_temperature_stays_within_its_bounds() -> None:
    """Rows that are all right would be likeliest at 0, rows that are all wrong at infinity."""
    logits, truth = np.eye(3) * 5, np.arange(3)

    assert fit_temperature(logits, truth) == pytest.approx(LEAST_TEMPERATURE, rel=1e-3)
    assert fit_temperature(logits, (truth + 1) % 3) == pytest.approx(MOST_TEMPERATURE, rel=1e-3)


def test_without_rows_the_temperature_changes_nothing() -> None:
    assert fit_temperature(np.empty((0, 3)), np.empty(0, dtype=np.int64)) == 1.0


def test_huge_logits_do_not_overflow() -> None:
    assert np.isfinite(fit_temperature(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0])))


def test_the_threshold_is_the_lowest_that_gives_the_precision() -> None:
    """100 rows from 1.00 down to 0.01; the upper 60 are right: 60 of 66 are 0.909, 60 of 67 are 0.896."""
    confidence = np.arange(100, 0, -1) / 100
    correct = np.arange(100) < 60

    assert suggest_threshold(confidence, correct, 0.9) == pytest.approx(0.35)
    assert (correct[confidence >= 0.35].mean(), correct[confidence >= 0.34].mean()) == (60 / 66, 60 / 67)


def test_rows_of_one_confidence_are_above_a_threshold_together() -> None:
    """The first 40 of 80 rows are right, but no threshold tells them from the others."""
    assert suggest_threshold(np.full(80, 0.7), np.arange(80) < 40, 0.9) is None
    assert suggest_threshold(np.full(80, 0.7), np.arange(80) < 40, 0.5) == 0.7


def test_a_few_rows_prove_no_precision() -> None:
    sure = np.linspace(0.9, 1.0, 30)
    right = np.ones(30, dtype=bool)

    assert suggest_threshold(sure, right, 0.9) == 0.9
    assert suggest_threshold(sure[1:], right[1:], 0.9) is None


def test_there_is_no_threshold_for_a_precision_that_is_never_reached() -> None:
    assert suggest_threshold(np.linspace(0, 1, 200), np.arange(200) % 2 == 0, 0.9) is None
    assert suggest_threshold(np.empty(0), np.empty(0, dtype=bool), 0.9) is None

"""The temperature that makes probabilities honest."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.evaluation.calibration import (
    MAX_TEMPERATURE,
    MIN_TEMPERATURE,
    fit_temperature,
    negative_log_likelihood,
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
        for other in np.geomspace(MIN_TEMPERATURE, MAX_TEMPERATURE, 200)
    )


def test_the_temperature_stays_within_its_bounds() -> None:
    """Rows that are all right would be likeliest at 0, rows that are all wrong at infinity."""
    logits, truth = np.eye(3) * 5, np.arange(3)

    assert fit_temperature(logits, truth) == pytest.approx(MIN_TEMPERATURE, rel=1e-3)
    assert fit_temperature(logits, (truth + 1) % 3) == pytest.approx(MAX_TEMPERATURE, rel=1e-3)


def test_without_rows_the_temperature_changes_nothing() -> None:
    assert fit_temperature(np.empty((0, 3)), np.empty(0, dtype=np.int64)) == 1.0


def test_huge_logits_do_not_overflow() -> None:
    assert np.isfinite(fit_temperature(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0])))

"""Figures of a classifier: each against a value that is known otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.evaluation import metrics
from pointsman.intervals import share_interval

TRUTH = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 0, 0])
CONFIDENCE = np.array([0.9, 0.8, 0.6, 0.5])
CORRECT = np.array([True, True, False, True])


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433),
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (0, 0, 0.0, 1.0),
        (833, 1000, 0.8086, 0.8548),
    ],
)
def test_the_interval_is_wilsons(correct: int, n: int, low: float, high: float) -> None:
    assert share_interval(correct, n) == pytest.approx((low, high), abs=1e-4)


def test_a_confusion_matrix_has_the_truth_in_its_rows() -> None:
    matrix = metrics.confusion(TRUTH, PREDICTED, 4)

    assert matrix.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]


def test_precision_recall_and_f1_of_each_label() -> None:
    """What was never chosen has no precision, what has no rows no recall, and what is neither has nothing."""
    first, second, third, fourth = metrics.label_scores(metrics.confusion(TRUTH, PREDICTED, 4))

    assert (first.rows, first.precision, first.recall) == (3, 2 / 4, 2 / 3)
    assert first.f1 == pytest.approx(4 / 7)
    assert second == metrics.LabelScore(2, 1 / 2, 1 / 2, 1 / 2)
    assert third == metrics.LabelScore(1, None, 0.0, 0.0)
    assert fourth == metrics.LabelScore(0, None, None, None)


def test_macro_f1_is_the_mean_over_the_labels_that_have_rows() -> None:
    scores = metrics.label_scores(metrics.confusion(np.array([0, 0, 1]), np.array([0, 2, 1]), 3))

    assert metrics.macro_f1(scores) == pytest.approx((2 / 3 + 1) / 2)
    assert metrics.macro_f1([]) == 0.0


def test_each_row_is_in_one_bin_and_the_edges_belong_to_the_lower_one() -> None:
    bins = metrics.reliability(np.array([0.0, 0.25, 0.5, 0.51, 1.0]), np.ones(5, dtype=bool), bins=4)

    assert [(found.low, found.high, found.rows) for found in bins] == [
        (0.0, 0.25, 2),
        (0.25, 0.5, 1),
        (0.5, 0.75, 1),
        (0.75, 1.0, 1),
    ]
    assert bins[0].confidence == 0.125


def test_an_empty_bin_has_neither_confidence_nor_accuracy() -> None:
    (first, second) = metrics.reliability(np.array([0.9]), np.array([True]), bins=2)

    assert (first.confidence, first.accuracy) == (None, None)
    assert (second.confidence, second.accuracy) == (0.9, 1.0)


def test_the_calibration_error_weighs_each_bins_gap_by_its_rows() -> None:
    """Three rows say 0.9 and two are right; one says 0.3 and is wrong."""
    confidence, correct = np.array([0.9, 0.9, 0.9, 0.3]), np.array([True, True, False, False])

    found = metrics.expected_calibration_error(confidence, correct, bins=2)

    assert found == pytest.approx(3 / 4 * (0.9 - 2 / 3) + 1 / 4 * 0.3)


def test_the_calibration_error_is_over_fifteen_bins() -> None:
    """As in Guo et al. 2017: figures over another number of bins cannot be compared with others'.

    Rows that one bin holds make up for each other; rows in two do not.
    """
    pairs = {"apart": (0.66, 0.68), "together": (0.61, 0.655)}
    found = {
        name: metrics.expected_calibration_error(np.array(confidence), np.array([True, False]))
        for name, confidence in pairs.items()
    }

    assert found == {"apart": pytest.approx(0.51), "together": pytest.approx(0.6325 - 0.5)}
    assert len(metrics.reliability(CONFIDENCE, CORRECT)) == 15, "the diagram shows the same"


def test_probabilities_that_keep_their_word_have_no_calibration_error() -> None:
    random = np.random.default_rng(7)
    confidence = random.uniform(0.3, 1.0, 100_000)

    assert metrics.expected_calibration_error(confidence, random.random(100_000) < confidence) < 0.01


def test_coverage_and_accuracy_are_of_the_rows_at_or_above_a_threshold() -> None:
    points = metrics.coverage_curve(CONFIDENCE, CORRECT, [0.0, 0.6, 0.9, 1.0])

    assert [(point.coverage, point.accuracy) for point in points] == [
        (1.0, 0.75),
        (0.75, pytest.approx(2 / 3)),
        (0.25, 1.0),
        (0.0, None),
    ]

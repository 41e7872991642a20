"""What the report of a training says."""

from __future__ import annotations

import numpy as np
import pytest

from training.data import LABELS, TrainingText
from training.figures import Floats, calibration_error, caught, domain_score, figures, model_of


def certain(*labels: str, p: float = 0.9) -> Floats:
    found = np.full((len(labels), len(LABELS)), (1 - p) / (len(LABELS) - 1))
    for i, label in enumerate(labels):
        found[i, LABELS.index(label)] = p
    return found


def test_accuracy_is_told_by_source_over_labels_and_over_models() -> None:
    rows = [TrainingText("", "law", "a"), TrainingText("", "engineering", "b"), TrainingText("", "math", "b")]
    found = figures(rows, certain("law", "computer science", "health"))

    assert (found["a"]["rows"], found["a"]["labels"], found["a"]["right_model"]) == (1, 1, 1)
    assert (found["b"]["rows"], found["b"]["labels"], found["b"]["right_model"]) == (2, 0, 0.5)


def test_rows_that_name_a_model_count_by_model() -> None:
    rows = [TrainingText("", "technical", "dev"), TrainingText("", "general", "dev")]

    assert figures(rows, certain("engineering", "history"))["dev"]["right_model"] == 1
    assert model_of("physics") == "general"


def test_out_of_scope_rows_are_caught_under_the_threshold_that_keeps_95_percent() -> None:
    inside = np.arange(100) / 100

    assert caught(inside, np.array([0.0, 0.049, 0.05, 0.9])) == 0.5


def test_exams_ours_and_rows_without_an_adapter_do_not_set_the_threshold() -> None:
    weak = [
        TrainingText("", "law", "mmlu"),
        TrainingText("", "law", "pointsman"),
        TrainingText("", "general", "dev"),
        TrainingText("", "other", "dolly"),
    ]
    rows = [*weak, TrainingText("", "law", "expertqa"), TrainingText("", "other", "clinc-smalltalk")]
    probabilities = np.concatenate([certain(*["law"] * 4, p=0.2), certain("law"), certain("law", p=0.5)])

    assert figures(rows, probabilities)["out_of_scope_caught"] == 1
    assert "out_of_scope_caught" not in figures(weak, certain(*["law"] * 4))


def test_the_probability_of_other_is_none_of_a_domain() -> None:
    assert domain_score(certain("other", "law")) == pytest.approx([0.1 / 13, 0.9])


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    confidence, right = np.array([0.9, 0.9, 0.3, 0.3]), np.array([True, False, True, False])

    assert calibration_error(confidence, right) == pytest.approx((0.8 + 0.4) / 4)

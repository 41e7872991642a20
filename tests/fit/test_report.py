"""What the operator reads: figures, confusions and what to add."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pointsman_export.fit.data import TrainingRows
from pointsman_export.fit.report import FitReport, rows_to_add


def report(
    truth: list[int],
    predicted: list[int],
    by_half: list[int] | None = None,
    warnings: tuple[str, ...] = (),
    **other: Any,
) -> FitReport:
    """A report on the labels banking, travel and work; the text of row n is `text n`."""
    rows = TrainingRows(
        texts=[f"text {number}" for number in range(len(truth))],
        truth=np.array(truth),
        labels=["banking", "travel", "work"],
        warnings=list(warnings),
    )
    fields: dict[str, Any] = {
        "folds": 5,
        "strength": 10.0,
        "temperature": 0.9,
        "calibration_error": 0.03,
        "precision": 0.95,
        "threshold": 0.8,
        "coverage": 0.75,
        "data": "my.jsonl",
        "data_sha256": "ab",
        "seconds": 2.5,
    }
    return FitReport(
        rows=rows,
        predicted=np.array(predicted),
        by_half=np.array(predicted if by_half is None else by_half),
        **(fields | other),
    )


TRUTH = [0] * 20 + [1] * 20 + [2] * 20
PREDICTED = [0] * 20 + [1] * 19 + [0] + [2] * 12 + [0] * 7 + [1]


def test_accuracy_stands_with_its_interval() -> None:
    assert "0.85 (95 % interval 0.74 to 0.92), 5-fold cross-validation" in report(TRUTH, PREDICTED).table()


def test_confusions_are_told_worst_first_and_single_rows_are_not() -> None:
    text = report(TRUTH, PREDICTED).table()

    assert "work taken for banking: 7 of 20" in text
    assert "travel taken for banking" not in text
    assert "work taken for travel" not in text


def test_a_label_that_is_missed_says_how_many_rows_to_add_and_like_which() -> None:
    """Three of the texts that were taken for others, with what they were taken for."""
    text = report(TRUTH, PREDICTED).table()

    assert "label work: recall 0.60 with 20 rows: add about 30 more like\n    'text 52' (taken for banking)" in text
    assert "'text 55'" not in text
    assert "label travel" not in text


@pytest.mark.parametrize(("rows", "more"), [(5, 50), (20, 30), (45, 30), (50, 30), (60, 30), (200, 100)])
def test_rows_to_add(rows: int, more: int) -> None:
    """What is missing of 50, or half as many again, in tens."""
    assert rows_to_add(rows) == more


def test_no_threshold_is_said() -> None:
    assert "none suggested: no score is sure enough for a precision of 0.95" in (
        report(TRUTH, PREDICTED, threshold=None, coverage=0.0).table()
    )


def test_more_rows_help_only_where_the_difference_is_no_chance() -> None:
    """Ten rows lost by half of the data are clear, one is not."""
    ten = [1 if number < 10 else label for number, label in enumerate(PREDICTED)]
    one = [1 if number < 1 else label for number, label in enumerate(PREDICTED)]

    assert "half of them gives 0.68: more would help still" in report(TRUTH, PREDICTED, ten).table()
    assert "half of them gives 0.83: no clear gain from the other half" in report(TRUTH, PREDICTED, one).table()


def test_a_perfect_result_has_nothing_to_add() -> None:
    text = report(TRUTH, TRUTH).table()

    assert "confused" not in text
    assert "\nadd" not in text


def test_a_label_that_is_never_predicted_has_no_precision() -> None:
    text = report(TRUTH, [0] * 20 + [1] * 40).table()

    assert "work       20          -    0.00" in text


def test_warnings_come_last() -> None:
    assert report(TRUTH, TRUTH, warnings=("mind the gap",)).table().endswith("\nwarning: mind the gap")


def test_figures_hold_numbers_and_none_of_the_texts() -> None:
    """An artifact is handed on; the operator's prompts are not."""
    figures = report(TRUTH, PREDICTED).figures()

    assert figures["cross_validation"]["confusion"]["counts"] == [[20, 0, 0], [1, 19, 0], [7, 1, 12]]
    assert figures["cross_validation"]["labels"]["work"] == {"rows": 20, "precision": 1.0, "recall": 0.6, "f1": 0.75}
    assert "text" not in str(figures)

"""What the operator reads: figures, confusions and what to add."""

from __future__ import annotations

import re
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
    labels: tuple[str, ...] = ("banking", "travel", "work"),
    texts: list[str] | None = None,
    **other: Any,
) -> FitReport:
    """A report on such labels; the text of row n is `text n`."""
    rows = TrainingRows(
        texts=texts or [f"text {number}" for number in range(len(truth))],
        truth=np.array(truth),
        labels=list(labels),
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


def test_the_report_as_it_is_read() -> None:
    text = report(TRUTH, PREDICTED, warnings=("mind the gap", "and the step")).table()

    assert text.split("\n") == [
        "  data        60 rows of my.jsonl, 3 labels",
        "  accuracy    0.85 (95 % interval 0.74 to 0.92), 5-fold cross-validation",
        "  macro-F1    0.84",
        "  rows        half of them gives 0.85: no clear gain from the other half",
        "  calibration temperature 0.90, expected error 0.030",
        "  threshold   0.80 suggested: precision 0.95 for the 75 % of the rows that reach it",
        "              both are fitted and measured on the same rows, so expect somewhat less on new ones",
        "  time        2.5 s",
        "",
        "  label    rows  precision  recall",
        "  banking    20       0.71    1.00",
        "  travel     20       0.95    0.95",
        "  work       20       1.00    0.60",
        "",
        "confused",
        "  work taken for banking: 7 of 20",
        "",
        "add",
        "  label work: recall 0.60 with 20 rows: add about 30 more like",
        "    'text 52' (taken for banking)",
        "    'text 53' (taken for banking)",
        "    'text 54' (taken for banking)",
        "",
        "warning: mind the gap",
        "warning: and the step",
    ]


def test_the_columns_are_no_narrower_than_their_names() -> None:
    assert "\n  label  rows  precision  recall\n  a         1" in report([0, 1], [0, 1], labels=("a", "b")).table()


def test_five_pairs_of_labels_are_shown_equal_ones_in_order() -> None:
    """Each of three labels is taken for both others twice, the last for the first three times."""
    truth = [0] * 4 + [1] * 4 + [2] * 5
    predicted = [1, 1, 2, 2, 0, 0, 2, 2, 0, 0, 0, 1, 1]
    text = report(truth, predicted).table()

    assert text[text.index("\nconfused") :].splitlines()[1:8] == [
        "confused",
        "  work taken for banking: 3 of 5",
        "  banking taken for travel: 2 of 4",
        "  banking taken for work: 2 of 4",
        "  travel taken for banking: 2 of 4",
        "  travel taken for work: 2 of 4",
        "",
    ]


def test_labels_that_miss_more_than_fifteen_percent_are_to_add_the_worst_first() -> None:
    truth = [0] * 20 + [1] * 20 + [2] * 20
    predicted = [0] * 17 + [1] * 3 + [1] * 16 + [0] * 4 + [0] * 20
    text = report(truth, predicted).table()

    added = [line for line in text[text.index("\nadd") :].splitlines() if line.startswith("  label")]
    assert added == [
        "  label work: recall 0.00 with 20 rows: add about 30 more like",
        "  label travel: recall 0.80 with 20 rows: add about 30 more like",
    ]


@pytest.mark.parametrize(("text", "shown"), [("x" * 70, "x" * 70), ("x" * 71, "x" * 69 + "…"), ("a \n b", "a b")])
def test_an_example_is_one_line_of_70_characters(text: str, shown: str) -> None:
    assert f"\n    '{shown}' (taken for travel)" in report([0], [1], texts=[text]).table()


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
    more = [1 if number < 10 else label for number, label in enumerate(TRUTH)]
    assert "no clear gain from the other half" in report(TRUTH, more, TRUTH).table(), "the half was better"


@pytest.mark.parametrize(
    ("won", "lost", "said"), [(3, 0, "more would help"), (2, 0, "no clear"), (9, 3, "more"), (8, 3, "no")]
)
def test_a_clear_gain_is_one_that_chance_gives_one_time_in_twenty(won: int, lost: int, said: str) -> None:
    truth = [0] * 40
    whole, half = [0] * 40, [0] * 40
    half[:won], whole[won : won + lost] = [1] * won, [1] * lost

    assert re.search(rf"  rows +half of them gives 0\.\d\d: {said}", report(truth, whole, half).table())


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
    half = [2 if number < 30 else label for number, label in enumerate(PREDICTED)]
    figures = report(TRUTH, PREDICTED, half, warnings=("mind the gap",)).figures()

    low, high = figures["cross_validation"].pop("interval_95")
    assert (round(low, 3), round(high, 3)) == (0.739, 0.919)
    assert figures == {
        "cross_validation": {
            "folds": 5,
            "rows": 60,
            "accuracy": 51 / 60,
            "accuracy_by_half_of_the_rows": 21 / 60,
            "macro_f1": pytest.approx((40 / 48 + 38 / 40 + 24 / 32) / 3),
            "labels": {
                "banking": {"rows": 20, "precision": 20 / 28, "recall": 1.0, "f1": 40 / 48},
                "travel": {"rows": 20, "precision": 19 / 20, "recall": 19 / 20, "f1": 38 / 40},
                "work": {"rows": 20, "precision": 1.0, "recall": 12 / 20, "f1": 24 / 32},
            },
            "confusion": {"axes": ["true", "predicted"], "counts": [[20, 0, 0], [1, 19, 0], [7, 1, 12]]},
            "calibration_error": 0.03,
            "threshold": {"precision": 0.95, "coverage": 0.75},
        },
        "l2": 10.0,
        "data": {"name": "my.jsonl", "sha256": "ab"},
        "warnings": ["mind the gap"],
    }

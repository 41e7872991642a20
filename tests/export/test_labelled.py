"""The rows of --calibrate and --labelled, and what is asked of int8 on them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pointsman_export.common.errors import AccuracyError, RowsError
from pointsman_export.export.accuracy import check_accuracy
from pointsman_export.export.labelled import read_labelled

LABELS = ["computer science", "law", "math", "other"]


def write(path: Path, rows: list[object]) -> Path:
    """A JSON lines file."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_labels_are_read_as_eval_reads_them(tmp_path: Path) -> None:
    """Whatever their case, `_` and `-`; other keys do not matter."""
    spelled = ["law", "Computer_Science", "OTHER", "math"] * 25
    path = write(tmp_path / "rows", [{"text": f"a {label}", "label": label, "source": "us"} for label in spelled])

    found = read_labelled(path, LABELS)

    assert found.truth[:4].tolist() == [1, 0, 3, 2]
    assert (len(found.texts), found.origin) == (100, "rows")


@pytest.mark.parametrize(("labels", "index"), [(LABELS, 3), (LABELS[:3], -1)])
def test_out_of_scope_is_other_or_no_label(tmp_path: Path, labels: list[str], index: int) -> None:
    said = ["law"] * 100 + ["out_of_scope"]
    path = write(tmp_path / "rows", [{"text": f"a {label}", "label": label} for label in said])
    assert read_labelled(path, labels).truth[-1] == index


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": "a", "label": "laws"}, ':101: the model has no label "laws"; did you mean law?'),
        ({"text": "a", "label": "xyz"}, "choose one of: computer science, law, math, other"),
        ({"text": " ", "label": "law"}, ':101: "text" must be text'),
        ({"text": "a"}, ':101: no "label"'),
        (["a", "law"], ":101: not a JSON object"),
        ({"text": "A ", "label": "math"}, ':101: the label is "math", but "law" for the same text in line 1; keep one'),
        ({"text": "a", "label": "law", "probabilities": [0.5, 0.5, 0, 0]}, ':101: "probabilities" must be an object'),
        ({"text": "a", "label": "law", "probabilities": {"law": 1}}, "for each label: computer science, law, math, o"),
        ({"text": "a", "label": "law", "probabilities": dict.fromkeys(LABELS, 0.3)}, "from 0 to 1 that sum to 1"),
        ({"text": "a", "label": "law", "probabilities": dict.fromkeys(LABELS, True)}, "must be numbers from 0 to 1"),
        ({"text": "a", "label": "law", "probabilities": dict.fromkeys(LABELS, 0.25)}, "100 of 101 rows have no"),
    ],
)
def test_unusable_rows(tmp_path: Path, row: object, message: str) -> None:
    """The error names the file, the line and the fix."""
    path = write(tmp_path / "rows", [*([{"text": "a", "label": "law"}] * 100), row])

    with pytest.raises(RowsError) as error:
        read_labelled(path, LABELS)

    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_probabilities_are_read_in_the_order_of_the_labels(tmp_path: Path) -> None:
    """Rounded ones and zeros as well."""
    given = {"other": 0.101, "law": 0.6, "computer science": 0.3, "math": 0}
    path = write(tmp_path / "rows", [{"text": "a", "label": "law", "probabilities": given}] * 100)

    found = read_labelled(path, LABELS)

    assert found.logits is not None
    assert np.exp(found.logits[99]).tolist() == pytest.approx([0.3, 0.6, 0, 0.101], abs=1e-6)


def test_too_few_rows(tmp_path: Path) -> None:
    """One row would move the accuracy by more than the drop that is allowed."""
    path = write(tmp_path / "rows", [{"text": "a", "label": "law"}] * 99)

    with pytest.raises(RowsError, match="has 99 rows, at least 100 are needed; label more"):
        read_labelled(path, LABELS)


def test_rows_of_no_label_are_none_of_these(tmp_path: Path) -> None:
    """No accuracy is measured on them."""
    said = ["law"] * 99 + ["out of scope"] * 50
    path = write(tmp_path / "rows", [{"text": f"a {label}", "label": label} for label in said])

    with pytest.raises(RowsError, match="has 99 rows"):
        read_labelled(path, ["law", "math"])


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """As for any other fault of the file."""
    with pytest.raises(RowsError, match=r"none\.jsonl: cannot be read"):
        read_labelled(tmp_path / "none.jsonl", LABELS)


def test_a_drop_in_accuracy_is_refused() -> None:
    """Over the drop that is allowed, with the three labels that lose most; exactly that drop is allowed."""
    truth = np.repeat(np.arange(4), 25)
    expected = np.eye(4, dtype=np.float32)[truth]
    found = expected.copy()
    for label, lost in enumerate([3, 1, 2, 4]):
        rows = np.flatnonzero(truth == label)[:lost]
        found[rows] = np.roll(found[rows], 1, axis=1)

    with pytest.raises(AccuracyError) as error:
        check_accuracy(expected, found, "int8", truth, LABELS, 0.09)

    assert "int8 is right on 90 % of 100 labeled rows, the float graph on 100 %" in str(error.value)
    assert "a drop of 10.00 points, allowed 9.00 points" in str(error.value)
    worst = "worst: other: 25 right of 25 became 21; computer science: 25 right of 25 became 22; math: 25"
    assert worst in str(error.value)
    assert "law" not in str(error.value)
    assert check_accuracy(expected, found, "int8", truth, LABELS, 0.1).drop == 0.1


def test_a_gain_is_no_drop() -> None:
    """Rows that int8 alone gets right make up for those that it loses."""
    truth = np.array([0, 1])
    one, other = np.eye(2, dtype=np.float32)[[0, 0]], np.eye(2, dtype=np.float32)[[1, 1]]

    assert check_accuracy(one, other, "int8", truth, LABELS[:2], 0.0).drop == 0

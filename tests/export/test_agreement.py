"""What an error says of the labels that a graph loses."""

from __future__ import annotations

from pointsman_export.export.agreement import LabelAgreement


def test_the_three_labels_that_lose_the_most_texts_are_named_the_worst_first() -> None:
    lost = {"law": 2, "math": 4, "health": 1, "other": 3}
    expected = [label for label, count in lost.items() for _ in range(count)] + ["law"] * 5
    found = ["history"] * sum(lost.values()) + ["law"] * 5

    assert LabelAgreement(expected, found).worst() == (
        "math: 4 of 4 became history; other: 3 of 3 became history; law: 2 of 7 became history"
    )

"""Rows are judged by heads that did not see them, and stored texts by what becomes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pointsman.cli import classifier
from pointsman_export.teach.report import ConfusedPair, MovedTexts, judge, moved

LABELS = ["sql", "sea", None] * 10
FEATURES = np.arange(len(LABELS), dtype="f")[:, None]


def test_each_row_is_judged_by_a_head_made_without_it() -> None:
    made: list[np.ndarray] = []

    def fit(at: np.ndarray) -> np.ndarray:
        made.append(at)
        return at

    def choose(seen: np.ndarray, features: np.ndarray) -> list[str | None]:
        own = features[:, 0].astype(int)
        assert not set(own) & set(seen)
        return [LABELS[at] for at in own]

    found = judge(FEATURES, LABELS, fit, choose)  # type: ignore[arg-type]

    assert (found.right, found.rows, found.kept, found.nobody) == (20, 20, 10, 10)
    assert found.by_category == {"sql": (10, 10), "sea": (10, 10)}
    assert found.pairs == ()
    assert [one.rows for one in found.curve] == [6, 12, 24]
    assert [one.share for one in found.curve] == [1.0] * 3


def test_what_is_confused_and_what_needs_a_better_description_is_named() -> None:
    found = judge(FEATURES, LABELS, lambda at: at, lambda _, some: ["sea"] * len(some))  # type: ignore[arg-type, return-value]

    assert set(found.pairs) == {ConfusedPair("sql", "sea", 10), ConfusedPair(None, "sea", 10)}
    said = "\n".join(found.lines())
    assert "10 of sql go to sea" in said
    assert "10 of nobody go to sea" in said
    assert "describe better, and how it differs from its neighbors: sql" in said


def test_stored_texts_that_another_model_answers_are_counted_and_those_between_adapters() -> None:
    found = moved(["base", "sql", "sql", "sea"], ["sql", "sea", "base", "sea"], "base")

    assert found == MovedTexts(4, 3, 1, found.pairs if found else ())
    assert moved([], [], "base") is None


@pytest.mark.parametrize(("between", "questions"), [(10, 1), (11, 2)])
def test_a_promotion_asks_twice_where_more_than_a_tenth_goes_to_another_adapter(
    monkeypatch: pytest.MonkeyPatch, between: int, questions: int
) -> None:
    asked: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(classifier, "confirm", lambda question, known: asked.append((question, known)))
    teaching: dict[str, Any] = {"rows": 60, "right": 50, "nobody": 40, "kept": 38}
    teaching |= {"moved": {"texts": 100, "moved": 30, "between": between, "pairs": []}}
    one = {"name": "new", "path": "/x/new", "labelled": None, "teaching": teaching}

    classifier._confirm({"in_use": "builtin", "artifacts": [one]}, "new")

    assert len(asked) == questions
    assert "of 60 taught prompts 50 get their category, of 40 of none 38 get none" in asked[0][1]
    assert f"of 100 stored texts 30 would get another model, {between} of them another adapter in place of" in str(
        asked
    )

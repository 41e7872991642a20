"""The rows that the built-in classifier is trained on, and those that are kept out."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from training.data import LABELS, NEVER_TRAINED_ON, Corpus, load_corpus, repeated
from training.prompts import user_prompts

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    exam = [{"text": f"exam question {i}", "label": "law", "source": "mmlu"} for i in range(40)]
    asked = [{"text": f"asked by an expert {i}", "label": "law", "source": "expertqa"} for i in range(25)]
    rows = {"train": exam + asked, "unlabelled": [{"text": "what is it?", "source": "nq-open"}]}
    for name in ("mmlu_pro", "user_prompts", "out_of_scope"):
        rows[f"dev_{name}"] = [{"text": "Exam question 3", "label": "law", "source": "mmlu"}]
    for name, some in rows.items():
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in some))
    return tmp_path


def load(data_dir: Path, held_out: str | None = None) -> Corpus:
    return load_corpus(data_dir, random.Random(0), held_out)  # noqa: S311


def count(corpus: Corpus, source: str) -> tuple[int, int]:
    """The rows of `source` that are trained on, and those that validate."""
    return sum(row.source == source for row in corpus.train), sum(row.source == source for row in corpus.valid)


def test_every_label_has_experts_prompts() -> None:
    assert {label for _, label, source in user_prompts() if source == "pointsman-experts"} == set(LABELS)


def test_prompts_have_text_and_a_label() -> None:
    prompts = user_prompts()

    assert prompts == user_prompts()
    assert all(text and text == text.strip() and label in LABELS for text, label, _ in prompts)


def test_a_tenth_of_the_experts_prompts_validates_and_no_filled_template_does(data_dir: Path) -> None:
    corpus = load(data_dir)
    trained, held_out = count(corpus, "pointsman-experts")

    assert held_out / (trained + held_out) == pytest.approx(0.1, abs=0.02)
    assert count(corpus, "pointsman")[1] == 0


def test_a_text_is_read_once_and_never_where_a_dev_set_or_the_guide_has_it(data_dir: Path) -> None:
    corpus = load(data_dir)
    texts = [row.text for row in (*corpus.train, *corpus.valid, *corpus.unlabelled)]

    assert len(set(texts)) == len(texts)
    assert "exam question 4" in texts
    assert not {"exam question 3", *NEVER_TRAINED_ON} & set(texts)


def test_a_source_that_is_held_out_is_the_whole_validation(data_dir: Path) -> None:
    corpus = load(data_dir, "expertqa")

    assert count(corpus, "expertqa") == (0, 25)
    assert {row.source for row in corpus.valid} == {"expertqa"}


def test_exams_are_read_once_an_epoch_and_experts_more_often(data_dir: Path) -> None:
    train = load(data_dir).train
    read = [train[i].source for i in repeated(train)]

    for source, times in (("mmlu", 1), ("expertqa", 4), ("pointsman-experts", 2)):
        assert read.count(source) == times * sum(row.source == source for row in train)

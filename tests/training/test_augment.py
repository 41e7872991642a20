"""What the training makes of a text."""

from __future__ import annotations

import random

import pytest

from training.augment import augment, pool, retype
from training.data import Row
from training.snippets import SNIPPETS

CODE = Row("why does my loop never end", "computer science", "pointsman")
RASH = Row("what is this itchy rash on my arm", "health", "pointsman")
TALK = Row("nice to meet you", "other", "clinc-smalltalk")
POOL = pool([CODE, RASH, TALK])


def made(row: Row, n: int = 2000) -> list[str]:
    rng = random.Random(0)  # noqa: S311
    return [augment(row, POOL, rng) for _ in range(n)]


def test_the_same_seed_makes_the_same_text() -> None:
    assert made(CODE) == made(CODE)


def test_only_a_computing_question_gets_code() -> None:
    """A share of 0.15; code says too much about the subject to stand beside another's question."""

    def with_code(row: Row) -> int:
        return sum(any(snippet in text for snippet in SNIPPETS) for text in made(row))

    assert 200 < with_code(CODE) < 400
    assert with_code(RASH) == 0


def test_an_unlabelled_title_of_a_computing_site_gets_code() -> None:
    texts = made(Row("loop in bash", "", "so-titles"))

    assert any(snippet in text for text in texts for snippet in SNIPPETS)


def test_a_passage_is_of_the_same_label_and_the_question_ends_it() -> None:
    row = Row("is it contagious", "health", "expertqa")
    long = [text for text in made(row) if len(text) > 200]

    assert 50 < len(long) < 200
    assert all(RASH.text in text and CODE.text not in text for text in long)
    spelled = [text for text in long if row.text in text]
    assert len(spelled) > len(long) / 2
    assert all(text.rfind(RASH.text) < text.rfind(row.text) for text in spelled)


def test_nothing_is_put_before_a_text_of_unknown_label_but_chat() -> None:
    assert max(map(len, made(Row("is it contagious", "", "nq-open")))) < 200


def test_a_long_text_gets_no_passage() -> None:
    """The training reads 256 tokens, and the question stands at the end."""
    row = Row("is it contagious? " * 20, "health", "expertqa")

    assert not any(RASH.text in text for text in made(row))


@pytest.mark.parametrize("text", ["", "?", "a", "{x} % y"])
def test_any_text_can_be_retyped(text: str) -> None:
    rng = random.Random(0)  # noqa: S311

    assert any(retype(text, rng) == text for _ in range(100))


def test_a_snippet_is_no_longer_than_training_reads() -> None:
    assert len(set(SNIPPETS)) == len(SNIPPETS) > 20
    assert all(10 < len(snippet) < 400 for snippet in SNIPPETS)

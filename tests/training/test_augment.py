"""What the training makes of a text."""

from __future__ import annotations

import random

import pytest

from training.augment import augment, pool, retype
from training.data import Row
from training.sections import sections
from training.snippets import SNIPPETS

CODE = Row("why does my loop never end", "computer science", "pointsman")
RASH = Row("what is this itchy rash on my arm", "health", "pointsman")
SORE = Row("is it contagious", "health", "expertqa")
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


def test_material_is_of_any_label_and_half_of_it_of_the_questions_own() -> None:
    long = [text for text in made(SORE) if len(text) > 120]
    own = [text for text in long if RASH.text in text]
    foreign = [text for text in long if CODE.text in text or f"{TALK.text} {TALK.text}" in text]

    assert 60 < len(long) < 250
    assert len(own) > len(long) / 3
    assert len(foreign) > len(long) / 6


def test_a_wrapper_holds_the_question_and_leaves_no_placeholder() -> None:
    texts = made(SORE)

    assert not any("{ask}" in text or "{material}" in text for text in texts)
    assert sum(SORE.text in text for text in texts) > 0.8 * len(texts)
    assert any(f"<question>{SORE.text}" in text for text in texts)


def test_earlier_turns_stand_below_the_newest_and_share_its_label() -> None:
    """The service reads a conversation in this order."""
    turns = [text for text in made(SORE) if text.endswith(f"\n{RASH.text}")]

    assert 60 < len(turns) < 200
    assert not any(CODE.text in text for text in turns)


def test_a_long_text_gets_no_material_and_no_turns() -> None:
    """The training reads few tokens, and the question may stand at the end."""
    row = Row("is it contagious? " * 20, "health", "expertqa")

    assert not any(RASH.text in text for text in made(row))


@pytest.mark.parametrize("text", ["", "?", "a", "{x} % y"])
def test_any_text_can_be_retyped(text: str) -> None:
    rng = random.Random(0)  # noqa: S311

    assert any(retype(text, rng) == text for _ in range(100))


def test_every_wrapper_has_a_place_for_the_question_and_for_material_where_it_says_so() -> None:
    wrappers = sections("wrappers.txt")

    assert all(line.count("{ask}") == 1 for lines in wrappers.values() for line in lines)
    assert all(line.count("{material}") == (kind == "material") for kind, lines in wrappers.items() for line in lines)


def test_a_snippet_is_no_longer_than_training_reads() -> None:
    assert len(set(SNIPPETS)) == len(SNIPPETS) > 20
    assert all(10 < len(snippet) < 400 for snippet in SNIPPETS)

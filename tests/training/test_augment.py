"""What the training makes of a text."""

from __future__ import annotations

import random

import pytest

from training.augment import augment, retype
from training.data import TrainingText
from training.snippets import SNIPPETS
from training.wrap import TASKS, pool

CODE = TrainingText("why does my loop never end", "computer science", "pointsman")
RASH = TrainingText("what is this itchy rash on my arm", "health", "pointsman")
SORE = TrainingText("is it contagious", "health", "expertqa")
TALK = TrainingText("nice to meet you", "other", "clinc-smalltalk")
POOL = pool([CODE, RASH, TALK])


def made(row: TrainingText, n: int = 2000) -> list[str]:
    rng = random.Random(0)  # noqa: S311
    return [augment(row, POOL, rng) for _ in range(n)]


def test_the_same_seed_makes_the_same_text() -> None:
    assert made(CODE) == made(CODE)


def test_only_a_computing_question_gets_code() -> None:
    """A share of 0.15; code says too much about the subject to stand beside another's question."""

    def with_code(row: TrainingText) -> int:
        return sum(any(snippet in text for snippet in SNIPPETS) for text in made(row))

    assert 200 < with_code(CODE) < 400
    assert with_code(RASH) == 0


def test_a_seventh_is_wrapped_and_a_fifth_stands_beside_material(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.augment.wrap", lambda *_: "wrapped")
    monkeypatch.setattr("training.augment.with_material", lambda text, label, *_: f"beside material, {label}")
    texts = made(SORE, 4000)

    assert texts.count("wrapped") / len(texts) == pytest.approx(0.14, abs=0.02)
    assert texts.count("beside material, health") / len(texts) == pytest.approx(0.20, abs=0.02)


def test_the_question_is_still_there_and_no_placeholder_is() -> None:
    texts = made(SORE)

    assert not any("{ask}" in text or "{material}" in text for text in texts)
    assert sum(SORE.text in text for text in texts) > 0.8 * len(texts)


def test_a_task_is_filled_and_nothing_else_is_done_to_it() -> None:
    """Typos would break its places."""
    assert set(made(TrainingText("Name the chat: {ask}", "other", TASKS), 200)) == {
        f"Name the chat: {row.text}" for row in (CODE, RASH, TALK)
    }


def test_earlier_turns_stand_below_the_newest_and_share_its_label() -> None:
    """The service reads a conversation in this order."""
    turns = [text for text in made(SORE) if text.endswith(f"\n{RASH.text}")]

    assert 60 < len(turns) < 200
    assert not any(CODE.text in text for text in turns)


def test_a_long_text_gets_no_material_and_no_turns() -> None:
    """The training reads few tokens, and the question may stand at the end."""
    row = TrainingText("is it contagious? " * 20, "health", "expertqa")

    assert not any(RASH.text in text for text in made(row))


@pytest.mark.parametrize("text", ["", "?", "a", "{x} % y"])
def test_any_text_can_be_retyped(text: str) -> None:
    rng = random.Random(0)  # noqa: S311

    assert any(retype(text, rng) == text for _ in range(100))


def test_a_snippet_is_no_longer_than_training_reads() -> None:
    assert len(set(SNIPPETS)) == len(SNIPPETS) > 20
    assert all(10 < len(snippet) < 400 for snippet in SNIPPETS)

"""What is no prompt of a person, or says what another says, is dropped."""

from __future__ import annotations

import pytest

from pointsman_export.teach.sieve import Sieve, strange


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ok", "too short or too long"),
        ("…!?", "too short or too long"),
        ("word " * 1_000, "too short or too long"),
        ("I'm sorry, but I can't help with that request.", "refusal"),
        ("As an AI language model I have no orders.", "refusal"),
        ("Here are 10 messages that people may send:", "no prompt"),
        ("Prompt 3:", "no prompt"),
        ("Writes SQL for our warehouse from a question", "near copy"),
        ("writes SQL for OUR warehouse, from a question!!", "near copy"),
    ],
)
def test_what_is_no_prompt_or_a_near_copy_is_dropped_with_the_reason(text: str, why: str) -> None:
    sieve = Sieve(["Writes SQL for our warehouse from a question."])

    assert not sieve.takes(text)
    assert sieve.dropped == {why: 1}


def test_the_same_line_fifty_times_counts_once() -> None:
    sieve = Sieve([])

    assert sum(sieve.takes("sum of revenue by month") for _ in range(50)) == 1
    assert sieve.dropped["near copy"] == 49


@pytest.mark.parametrize("text", ["sorry my order is late again", "can you write a poem", "I am an AI student"])
def test_what_people_say_is_no_refusal_and_no_chatter(text: str) -> None:
    assert Sieve([]).takes(text)


def test_a_language_that_few_prompts_of_a_category_share_is_strange() -> None:
    assert strange([None, None, "zh", None]) == [False, False, True, False]
    assert strange(["fr", "fr", None, "fr"]) == [False] * 4
    assert strange([]) == []

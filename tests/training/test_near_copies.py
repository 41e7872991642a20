"""Which texts count as near copies."""

from __future__ import annotations

import pytest

from training.near_copies import NearCopies

KNOWN = NearCopies(["What is the statute of limitations for fraud?", "why does bread rise"])


@pytest.mark.parametrize(
    "text",
    [
        "What is the statute of limitations for fraud?",
        "what is a statute of limitations for fraud",
        "Please: what is the statute of limitations for fraud",
        "WHY DOES THE BREAD RISE...",
    ],
)
def test_the_same_words_but_for_case_marks_articles_and_a_word_are_a_near_copy(text: str) -> None:
    assert KNOWN.has(text)


@pytest.mark.parametrize(
    "text",
    ["What is the statute of limitations for assault in Ohio?", "why does iron rust", "rise bread does why", "", "?"],
)
def test_another_question_in_the_same_form_is_none(text: str) -> None:
    assert not KNOWN.has(text)

"""Code stays with what asks about it in another language."""

from __future__ import annotations

import pytest

from pointsman.routing.ask import AskFinder

LINES = "\n".join([f"total_{number} = read(path) + {number}" for number in range(12)])


@pytest.mark.parametrize(
    "ask", ["¿por qué me da cero?", "perché è così lento?", "je fais quoi ?", "czemu to się wywala?"]
)
def test_code_stays_with_what_asks_about_it_in_another_language(ask: str) -> None:
    """It tells what that is about: of the sentence alone nothing would be known."""
    for message in (f"{ask}\n\n{LINES}", f"{LINES}\n\n{ask}", f"{ask}\n```jsx\n<ul>{LINES}</ul>\n```"):
        assert AskFinder().find([message]).text == message


@pytest.mark.parametrize(
    "ask", ["Please explain how recursion works in general?", "Which sorting algorithm is the fastest one?"]
)
def test_it_does_not_stay_with_an_ask_in_english(ask: str) -> None:
    assert AskFinder().find([f"{ask}\n\n{LINES}"]).text == ask


@pytest.mark.parametrize(
    "around",
    [f"<environment_details>\n{LINES}\n</environment_details>", "La mer est calme ce soir et le vent se lève. " * 20],
)
def test_nor_do_what_a_tag_names_and_prose(around: str) -> None:
    """A client may put that around any ask."""
    ask = "Peux-tu écrire un poème sur la mer ?"
    assert AskFinder().find([f"{around}\n\n{ask}"]).text == ask

"""What a question is about that only points to a document."""

from __future__ import annotations

import pytest

from pointsman.routing.ask import Ask, AskFinder
from pointsman.routing.ask.about import only_points

TOLD = "The tenancy goes on from month to month, and the rent is due on the first of each. "
LEASE = (TOLD * 3).strip()
SHORT = (TOLD * 2).strip()
QUESTION = "Is this clause valid?"


def find(*parts: str) -> Ask:
    return AskFinder().find(parts)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(f"<document>\n{LEASE}\n</document>\n\n{QUESTION}", id="a tag"),
        pytest.param(f"{QUESTION}\n\n<attachments>\n{LEASE}\n</attachments>", id="a tag below"),
        pytest.param(f"Context:\n{LEASE}\n\nQuestion: {QUESTION}", id="labels"),
        pytest.param(f"<note>{SHORT}</note>\n<document>\n{LEASE}\n</document>\n\n{QUESTION}", id="the longest of two"),
    ],
)
def test_a_question_that_points_to_material_has_its_beginning(message: str) -> None:
    asked = find(message)
    assert (asked.text, asked.about) == (QUESTION, LEASE)
    (read,) = [step for step in asked.steps if step.what == "about"]
    assert LEASE in message[read.start : read.end]


@pytest.mark.parametrize(
    "question",
    [
        "Is this clause valid?",
        "what could this be",
        "Can they really do this to me?",
        "Could you tell me if these values are normal?",
        "Explain what the document says about larger ones.",
        "Is it correct?",
        pytest.param("Is this clause good for ferries in Graz?", id="three words of its own"),
        "What does this label mean?",
        "Is this edit better?",
        "Does this polish hold?",
    ],
)
def test_it_asks_points_and_names_no_subject(question: str) -> None:
    assert only_points(question)


@pytest.mark.parametrize(
    "question",
    [
        pytest.param("Summarise this document.", id="a task"),
        pytest.param("Can you translate this?", id="a task, asked for"),
        pytest.param("What is a good title for this?", id="a task, as a question"),
        pytest.param("Write a unit test for this", id="an instruction"),
        pytest.param("Who may cancel?", id="points to nothing"),
        pytest.param("Does this recipe work with spelt flour and without butter?", id="a subject of its own"),
        pytest.param("Is this clause good for ferries in Graz and Linz?", id="four words of its own"),
        pytest.param("Ist diese Klausel gültig?", id="another language"),
    ],
)
def test_anything_else_does_not(question: str) -> None:
    assert not only_points(question)


@pytest.mark.parametrize(("size", "points"), [(160, True), (161, False)])
def test_a_question_of_more_than_160_characters_says_what_it_is_about(size: int, points: bool) -> None:
    assert only_points("Is this good?".ljust(size, "?")) is points


def test_of_an_ask_that_says_what_it_is_about_material_says_nothing() -> None:
    asked = find(f"<document>\n{LEASE}\n</document>\n\nHow do I undo a commit in a shared git repository?")
    assert asked.about == ""
    assert "about" not in [step.what for step in asked.steps]


def test_what_material_asks_or_orders_is_left_out() -> None:
    asks = "Is a rash after amoxicillin an allergy?\nSomebody wrote (is aspirin safe?) on it."
    spoken = f"{asks}\nExplain how the dose is found.\nYou are a doctor now."
    assert find(f"<document>\n{LEASE}\n{spoken}\n{TOLD}\n</document>\n\n{QUESTION}").about == f"{LEASE} {TOLD.strip()}"


def test_so_are_marks_and_what_is_no_prose() -> None:
    marked = f'<doc index="1" lang="python">{LEASE}</doc>\n{{"src": "b.py"}}\nx = load(y);'
    assert find(f"<documents>\n{marked}\n</documents>\n\n{QUESTION}").about == LEASE


def test_the_first_1000_characters_are_read() -> None:
    asked = find(f"<document>\n{TOLD * 100}\n</document>\n\n{QUESTION}")
    (read,) = [step for step in asked.steps if step.what == "about"]
    assert read.end - read.start == 1000
    assert 900 < len(asked.about) <= 1000


def test_less_than_200_characters_tell_too_little() -> None:
    def about(count: int) -> str:
        return find(f"<document>\n{'The rent is due. ' * 20}".ljust(400)[:count] + f"\n</document>\n\n{QUESTION}").about

    assert about(250)
    assert not about(200)

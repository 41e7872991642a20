"""Where no label and no paragraph tells where the ask is, the line that asks is taken, such as a field of a form."""

from __future__ import annotations

import pytest

from pointsman.routing.ask import AskFinder, AskKind
from pointsman.routing.ask.lines import asking_line
from pointsman.routing.ask.names import name_of

ASK = "How long do I have to appeal against a judgment?"
NINE = "The ferry leaves at nine."


def found(*lines: str, fields: bool = True) -> str | None:
    text = "\n".join(lines)
    span = asking_line(text, name_of, fields=fields)
    return None if span is None else text[slice(*span)]


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(f"Wording: {ASK}", id="a colon"),
        pytest.param(f"wording = {ASK}", id="an equals sign"),
        pytest.param(f"WORDING:{ASK}", id="no space"),
        pytest.param(f"**What I would like:** {ASK}", id="bold"),
        pytest.param(f"  - Wording: {ASK}", id="an item of a list"),
        pytest.param(f"| Wording | {ASK} |", id="a row of a table"),
        pytest.param(f'Wording: {ASK}"', id="a quotation mark at the end"),
    ],
)
def test_the_field_of_a_form_that_asks_is_taken(field: str) -> None:
    assert found("Name: Kim", field, "Channel: web") == ASK


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(f"Wording: {NINE}", id="it asks nothing"),
        pytest.param(f"Background: {ASK}", id="it has the name of material"),
        pytest.param(f"Answer: {ASK}", id="it has the name of an answer"),
        pytest.param("Wording: How can you help?", id="it names no subject"),
        pytest.param("Wording: How can the ferry help?", id="it names it in one word"),
        pytest.param(f"Wording: {NINE * 20} {ASK}", id="it is as long as a document"),
        pytest.param(ASK, id="it has no name"),
        pytest.param(f"> Wording: {ASK}", id="it is quoted"),
    ],
)
def test_a_field_is_not_taken_if(field: str) -> None:
    assert found("Name: Kim", field, "Channel: web", "Plan: basic") is None


def test_fewer_than_three_fields_are_no_form() -> None:
    assert found("Name: Kim", f"Wording: {ASK}") is None
    assert found("Name: Kim", f"Wording: {ASK}", "Plan: basic") == ASK


def test_of_two_lines_the_one_that_asks_more_is_taken_and_else_the_first() -> None:
    other = "What does the ferry to Bergen cost?"
    assert found(f"X: {other}", f"Y: {ASK}", "C: web") == ASK, "the person speaks of themselves"
    assert found(f"X: {other}", "Y: What does the bus to Bergen cost?", "C: web") == other
    assert found(f"X: {other}", f"Question: {other[:-6]} bring?", "C: web") == f"{other[:-6]} bring?"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(ASK, id="alone"),
        pytest.param(f"<@U061F> [2026-11-26 09:30]: <@U0B> {ASK}", id="a speaker and a time"),
        pytest.param(f"12:30 @kim {ASK}", id="a time and a mention"),
        pytest.param(f'<textarea name="help">{ASK}</textarea>', id="between tags"),
    ],
)
def test_any_other_line_is_taken_without_what_says_who_speaks(line: str) -> None:
    assert found("You were named.", line, NINE, fields=False) == ASK
    assert found("You were named.", line, NINE) is None


@pytest.mark.parametrize(
    ("line", "taken"),
    [
        pytest.param("I need the last ferry to Bergen.", True, id="a person speaks"),
        pytest.param("We miss our old ferries.", False, id="none of the words that sentences have"),
        pytest.param(f"Background: {ASK}", False, id="it has the name of material"),
        pytest.param(NINE, False, id="it asks nothing"),
    ],
)
def test_a_line_that_hardly_asks_is_taken_where_that_is_enough(line: str, taken: bool) -> None:
    assert asking_line(f"x\n{line}", name_of, fields=False) is None
    assert (asking_line(f"x\n{line}", name_of, fields=False, min_score=1) is not None) is taken


def test_a_form_of_which_no_name_is_known_has_its_ask() -> None:
    message = f"Bundle 1\nName = Kim\nPlan = Basic\nNotes zzz = {NINE * 12}\nZzz = {ASK}\nReceived = today"
    asked = AskFinder().find([message])
    assert (asked.kind, asked.text) == (AskKind.ASK, ASK)
    ((step,),) = [asked.steps]
    assert message[step.start : step.end] == ASK


def test_a_line_that_asks_goes_before_paragraphs_that_do_not() -> None:
    chat = f"[10:01] <@ann> {ASK}\n[10:02] <@bob> {NINE}"
    asked = AskFinder().find([f"I rent a flat.\n\n{chat}\n\nContext:\n{NINE * 12}"])
    assert (asked.kind, asked.text) == (AskKind.ASK, ASK)


def test_material_alone_is_not_looked_through() -> None:
    fenced = f"Context:\n```\nName: Kim\nWording: {ASK}\nChannel: web\n```"
    assert not AskFinder().find([fenced]).text

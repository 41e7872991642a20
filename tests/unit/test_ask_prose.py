"""Words tell whether a paragraph asks, and in what language it is."""

from __future__ import annotations

import pytest

from pointsman.routing.ask import prose
from pointsman.routing.ask.prose import words_in


def score(text: str) -> int:
    return prose.asks(text, words_in(text))


def test_a_word_is_of_letters_and_what_is_in_small_ascii_needs_no_pattern() -> None:
    for code in range(128):
        char = chr(code)
        parts = [f"a{char.lower()}b"] if char.isalpha() or char == "'" else ["a", "b"]
        assert words_in(f"a{char}b").listed == parts
    assert words_in("Don't stop: Don't").listed == ["don't", "stop", "don't"]
    assert words_in("Où est l’été_2, dis").listed == ["où", "est", "l’été", "dis"]
    assert words_in("«La marée»").listed == ["la", "marée"]
    assert words_in("stop stop").known == {"stop"}


def test_words_are_those_of_the_beginning() -> None:
    assert words_in("is " * 82 + "cats").listed[-1] == "cats"
    assert words_in(" " + "is " * 82 + "cats").listed[-1] == "cat"


def test_content_is_different_words_that_frames_and_verbs_lack() -> None:
    assert prose.content(words_in("Explain the tort, the tort and x to an ox")) == 3
    assert prose.content_words(words_in("Explain the tort, the tort, to an ox")) == {"tort", "ox"}


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("The ferry leaves at nine.", False),
        ("The ferry leaves?", True),
        ("Паром отходит в девять", True),
        ("The ferry leaves." * 5 + "\nEXPLAIN THAT", True),
        ("Nobody, please, Explain that", True),
        ("a " * 38 + " how", True),
        ("a " * 38 + "  how", False),
    ],
)
def test_a_text_may_ask_with_a_question_mark_or_a_verb_near_the_beginning_of_a_line(text: str, may: bool) -> None:
    assert prose.may_ask(text) is may


@pytest.mark.parametrize(
    ("text", "least"),
    [
        pytest.param("The ferry leaves at nine.", 0, id="a statement"),
        pytest.param("12:30 - 14:45", 0, id="no word"),
        pytest.param("The ferry leaves at nine?", 2, id="a question mark at the end"),
        pytest.param("渡轮九点开？", 2, id="a wide one"),
        pytest.param("العبّارة تغادر؟", 2, id="an Arabic one"),
        pytest.param("**The ferry leaves? **\n", 2, id="behind marks"),
        pytest.param("“The ferry leaves?”", 2, id="in quotation marks"),
        pytest.param("The ferry (leaves?)", 2, id="in parentheses"),
        pytest.param("At nine? The ferry leaves.", 1, id="a question mark before the end"),
        pytest.param("At nine? Platform X", 1, id="a question mark before a letter at the end"),
        pytest.param("The page is example.org/?id=7", 0, id="one in an address"),
        pytest.param("At nine?" + " " + "x" * 198, 1, id="one near the end"),
        pytest.param("At nine?" + " " + "x" * 199, 0, id="one farther off"),
        pytest.param("Explain the tides.", 2, id="a verb"),
        pytest.param("How high is the tide", 2, id="a question without its mark"),
        pytest.param("Explain the tides?", 4, id="a verb and a question mark"),
        pytest.param("- **Explain** the tides.", 2, id="a verb behind marks"),
        pytest.param("> “Explain the tides.”", 2, id="a verb behind quotation marks"),
        pytest.param('{"explain": "the tides"}', 0, id="the name of a field"),
        pytest.param("/plan the ferry", 0, id="a command"),
        pytest.param("Hi, ok so please just explain the tides.", 2, id="a verb as the sixth word"),
        pytest.param("Hi and ok so please just explain the tides.", 0, id="a verb as the seventh"),
        pytest.param("Hi, ok so please just now.", 0, id="courtesy alone"),
        pytest.param("Plan: the ferry", 0, id="a name with a colon"),
        pytest.param("Translate: the ferry", 2, id="an instruction with a colon"),
        pytest.param("Review. Good ferry.", 0, id="a title"),
        pytest.param("Design note. The ferry has two decks.", 0, id="a title of two words"),
        pytest.param("Fix this. The ferry has two decks.", 2, id="a short instruction"),
        pytest.param("plan@example.org answered.", 0, id="an address"),
        pytest.param("test_ferry passed.", 0, id="an identifier"),
        pytest.param("Why, the ferry left.", 0, id="an interjection"),
        pytest.param("Explain, in short, the ferry.", 2, id="a verb before a comma"),
        pytest.param("Please" + " " * 150 + ": plan: the ferry", 0, id="a name behind much space"),
        pytest.param("I missed the ferry.", 1, id="a person who speaks of themselves"),
        pytest.param("The ferry left, should the office pay", 1, id="a question within"),
        pytest.param("The ferry left, so the office must pay", 0, id="a clause that asks nothing"),
        pytest.param("I missed it: can you rebook", 2, id="a person who asks within"),
        pytest.param("Explain it: can you rebook", 2, id="a verb needs no question within"),
        pytest.param("It left: can you" + " " + "x" * 112, 1, id="a question near the end"),
        pytest.param("It left: can you" + " " + "x" * 113, 0, id="a question farther off"),
        pytest.param("@nova: explain the tides", 2, id="a mention"),
        pytest.param("<@U7> explain the tides", 2, id="a mention by a number"),
        pytest.param("@nova " + "@" * 3, 0, id="a mention alone"),
    ],
)
def test_how_much_a_paragraph_asks(text: str, least: int) -> None:
    assert score(text) == least


@pytest.mark.parametrize(
    "lead", ["Given", "Based on", "Using", "With", "Now", "From", "Considering", "After", "In view of"]
)
def test_what_leads_to_an_instruction_is_passed_over(lead: str) -> None:
    assert score(f"{lead} the timetable, explain the tides.") == 2
    assert score(f"{lead} the timetable, @nova explain the tides.") == 2
    assert score(f"{lead} the timetable, the tides rose.") == 0


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        ("«La marée?»", True),
        ("„Die Flut?“", True),
        ("“The tide?” he said", False),
        ("He: “So”", False),
        ("X “So”", False),
        ("“So” X", False),
    ],
)
def test_a_quotation_is_in_quotation_marks_as_a_whole(text: str, quoted: bool) -> None:
    assert prose.is_quoted(text) is quoted


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("The tide of the sea", True),
        ("tide table Graz", None),
        ("die Flut und Meer", False),
        ("die tide table", None),
        ("tide tables sea Zürich", False),
        ("tables sea Zürich", None),
        ("tide tables – sea Graz", None),
        ("приливы", None),
        ("прилив моря", False),
        ("aaaaaaéé", None),
        ("aaaaaaééé", None),
        ("aaaaaéééé", False),
        ("приливыm", False),
        ("x" * 25 + "\n" + "tide " * 10 + "xx é", False),
        ("x" * 25 + "\n" + "tide " * 10 + "xxx é", None),
    ],
)
def test_words_or_letters_of_the_beginning_tell_the_language_unless_there_are_too_few(
    text: str, english: bool | None
) -> None:
    assert prose.is_english(text, words_in(text)) is english


@pytest.mark.parametrize(
    ("rule", "text", "other"),
    [
        (prose.has_function_words, "tide on Sunday", "tide table Sunday"),
        (prose.points, "fix this tide", "fix tide"),
        (prose.refers, "may she sail", "may Ann sail"),
    ],
)
def test_words_that_sentences_pointers_and_pronouns_have(rule, text: str, other: str) -> None:  # type: ignore[no-untyped-def]
    assert rule(words_in(text))
    assert not rule(words_in(other))

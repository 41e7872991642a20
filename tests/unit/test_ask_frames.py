"""Frames, personas, courtesy and quotation marks around an ask are told from it."""

from __future__ import annotations

import pytest

from pointsman.routing.ask import prose
from pointsman.routing.ask.prose import leads

NINE = "The ferry leaves at nine. "


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Ferry context:", id="a word of templates, and one other"),
        pytest.param("Translate the context.", id="a task on what only templates have"),
        pytest.param(
            "In the context of all that which is there and so on, ferry timetable", id="two others of 14 words"
        ),
        pytest.param("Answer with the context that is ferry timetable", id="two words of templates, two others of 8"),
        pytest.param("(From the timetable of the ferry)", id="in parentheses"),
        pytest.param("[Ferry timetable attached]", id="in brackets"),
        pytest.param("# Never mention prices, ferries or captains.", id="a rule"),
        pytest.param("-" * 53 + " never ferries, captains or prices", id="a rule behind marks"),
        pytest.param("You are Nova, captain of the night ferry.", id="a persona"),
        pytest.param("You are Nova, captain of the ferry. Go. 42. Never lie.", id="a persona and what it may not"),
        pytest.param("Imagine you captain a ferry in winter storms.", id="a persona that an instruction gives"),
        pytest.param("You are Nova, a captain. Explain ferries.", id="a persona that asks about next to nothing"),
        pytest.param("You are Nova. My ferry leaves, captains sail.", id="a persona with a story"),
        pytest.param("You are Nova. " + NINE * 18 + " " * 4 + "Explain law, ox", id="a persona that asks far behind"),
        pytest.param("Hello Anna Smith, dear captain", id="a greeting of three words of content"),
        pytest.param("Best regards,\nAnna Smith\nSenior captain, ferry office", id="a signature"),
        pytest.param("Yours " + "x" * 32 + ",\nAnna Smith, senior captain", id="the longest line of a signature"),
        pytest.param("Thanks" + " the" * 48 + " x", id="the longest courtesy"),
    ],
)
def test_a_frame_says_only_how_to_answer_or_by_whom(text: str) -> None:
    assert leads(text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("Ferry timetable", id="no word of templates"),
        pytest.param("In the context of that which is there and so on, ferry timetable", id="two others of 13 words"),
        pytest.param("Answer with the context that ferry timetable", id="two words of templates, two others of 7"),
        pytest.param("With the context that it is ferry timetable", id="one word of templates, two others of 8"),
        *(f"Translate {word}." for word in ("the document", "documents", "passages", "the above", "what is below")),
        pytest.param("(Do ferries run on winter Sundays?)", id="a question in parentheses"),
        pytest.param("(Ferries run) on winter Sundays", id="parentheses at the beginning"),
        pytest.param("Never mind prices: do ferries run on Sundays?", id="a question that begins like a rule"),
        pytest.param("Hello captain, may Anna sail?", id="a question that begins with courtesy"),
        pytest.param("-" * 54 + " never ferries, captains or prices", id="a rule behind more marks"),
        pytest.param("You are Nova. Explain night ferries.", id="a persona that is told what to do"),
        pytest.param("You are Nova. Never lie. Explain night ferries. Go.", id="a persona that is told it at last"),
        pytest.param("You are Nova. I need a captain, two ferries.", id="a persona that is told a need"),
        pytest.param("You are Nova. " + NINE * 18 + " " * 3 + "Explain law, ox", id="a persona that asks behind much"),
        pytest.param("Hello Anna Smith, dear captain Bob", id="a greeting of four words of content"),
        pytest.param("Best captain Anna Smith, Graz,", id="one line with a comma at its end"),
        pytest.param("Best regards\nAnna Smith\nSenior captain, ferry office", id="a first line without a comma"),
        pytest.param("Thanks" + " the" * 48 + " xx", id="more than a courtesy"),
        pytest.param("The captain thanks Anna", id="courtesy that does not begin the text"),
    ],
)
def test_what_asks_or_says_more_is_no_frame(text: str) -> None:
    assert not leads(text)


# --- an instruction and its object ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lead", "size", "instruction"),
    [
        pytest.param("Translate into French: ", 250, "Translate into French", id="a colon"),
        pytest.param("Translate into French\n", 250, "Translate into French", id="a line"),
        pytest.param("Hi, please translate into French:\n\n", 250, "Hi, please translate into French", id="courtesy"),
        pytest.param("1. *Translate* this:\n", 250, "1. *Translate* this", id="marks before it"),
        pytest.param("Translate into French: ", 1, "Translate into French", id="a short object in the same line"),
        pytest.param("Edit: ", 250, "Edit", id="a long object of what may be a person's own word"),
        pytest.param("Edit: ", 249, None, id="a short one"),
        pytest.param("Translate into French: a\n", 1, None, id="a short object in several lines"),
        pytest.param("Translate this:\n", 1, "Translate this", id="a short one below, to which it points"),
        pytest.param("You are Ann. Translate:\n", 250, "You are Ann. Translate", id="behind a persona"),
        pytest.param("Extract the answer to this query:\n", 250, None, id="an instruction to answer"),
        pytest.param("Translate this?\n", 250, None, id="a question"),
        pytest.param("Translate" + " it" * 80 + "\n", 250, "Translate" + " it" * 80, id="the longest instruction"),
        pytest.param("Translate" + " it" * 80 + " \n", 250, None, id="a longer one"),
        pytest.param("Translate this text ", 300, None, id="nothing between it and its object"),
        pytest.param("Explain this text: ", 300, None, id="another instruction"),
        pytest.param('{"translate": ', 300, None, id="the name of a field"),
        pytest.param("/translate this: ", 300, None, id="a command"),
    ],
)
def test_an_instruction_ends_where_a_longer_text_begins(lead: str, size: int, instruction: str | None) -> None:
    assert prose.instruction(lead + "x" * size) == (None if instruction is None else (0, len(instruction)))


@pytest.mark.parametrize(
    ("text", "instruction"),
    [
        ("Nine oxen.\n\nTranslate this.", "Translate this."),
        ("Nine oxen.\nPlease summarise the text above in a line\n\n", "Please summarise the text above in a line"),
        ("Nine oxen.\n" + "Rewrite these".ljust(249, "."), "Rewrite these".ljust(249, ".")),
        ("Nine oxen.\n" + "Rewrite these".ljust(250, "."), None),
        ("Nine oxen.\n\nTranslate it.", "Translate it."),
        ("Nine oxen.\n\nSummarise", "Summarise"),
        ("Nine oxen.\n\nTranslate all.", None),
        ("Nine oxen.\n\nCould you translate this?", "Could you translate this?"),
        ("Nine oxen.\n\nCould you translate this? And why?", None),
        ("Nine oxen.\n\nI would like you to rewrite this.", "I would like you to rewrite this."),
        ("Nine oxen.\n\nPlease give me a short summary of the text.", "Please give me a short summary of the text."),
        ("Nine oxen.\n\nGive me a line of the text.", None),
        ("Nine oxen.\n\nTranslate this?", None),
        ("Nine oxen.\n\nRead this.", None),
        ("\n\nTranslate this.", None),
    ],
)
def test_or_it_is_the_last_line_and_points_to_what_is_above(text: str, instruction: str | None) -> None:
    span = prose.instruction(text)
    assert (None if span is None else text[slice(*span)]) == instruction


# --- around an ask --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param("@nova: may I sail?", "may I sail?", id="a mention"),
        pytest.param("<@U7> may I sail?", "may I sail?", id="a mention by a number"),
        pytest.param("Based on the context above, may I sail?", "may I sail?", id="what leads to it"),
        pytest.param("Given a permit for ferries, may I sail?", None, id="what says more"),
        pytest.param("Fix 'a.py' (see below for file content) please", "Fix please", id="where a file is"),
        pytest.param("Compare it with the notes @docs/a.md", "Compare it with the notes", id="a path at the end"),
        pytest.param("Write to @anna please", None, id="a mention within"),
        pytest.param("May I sail? (see the context that is given below)", "May I sail?", id="an aside about context"),
        pytest.param(
            "May I sail? (see ferry timetable in what is given here)", "May I sail?", id="two others of 8 words"
        ),
        pytest.param("May I sail? (see ferry timetable in what is given)", None, id="two others of 7"),
        pytest.param("May I (see the context that is given) sail?", None, id="an aside within"),
    ],
)
def test_pointers_and_mentions_are_removed_from_an_ask(text: str, plain: str | None) -> None:
    assert prose.without_pointers(text) == (plain or text)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        pytest.param('"May I sail?"', "May I sail?", id="quotation marks"),
        pytest.param(' "May I sail"; .', None, id="space before them"),
        pytest.param('"May I sail"; .', "May I sail", id="marks behind them"),
        pytest.param("“May I sail?”", "May I sail?", id="curved ones"),
        pytest.param("«May I sail?»", "May I sail?", id="pointed ones"),
        pytest.param("‘May I sail?’", "May I sail?", id="single ones"),
        pytest.param("'May I sail?'", "May I sail?", id="straight single ones"),
        pytest.param('""" May I sail? """', "May I sail?", id="three of them"),
        pytest.param('"a"', "a", id="the shortest"),
        pytest.param('""', None, id="nothing in them"),
        pytest.param("", None, id="nothing"),
        pytest.param('"May I sail?" asks Ann of Graz, my client', "May I sail?", id="words behind a question"),
        pytest.param('" May I sail? " asks Ann of Graz, my client', "May I sail?", id="space within"),
        pytest.param('"Ferry prices" rose in Graz last winter', None, id="a statement that begins with a name"),
        pytest.param('"Explain tides" says Ann of Graz, my client', "Explain tides", id="words behind an instruction"),
        pytest.param('"I missed it" says Ann of Graz, my client', None, id="words behind a statement"),
        pytest.param('"Explain tides', None, id="no end"),
        pytest.param("May I sail?", None, id="none"),
    ],
)
def test_quotation_marks_around_an_ask_are_removed(text: str, plain: str | None) -> None:
    assert prose.unquoted(text) == (text if plain is None else plain)

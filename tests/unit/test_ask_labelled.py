"""Which part of a message has the ask where labels say so."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.labelled import labelled, labelled_rivals
from support.scored_blocks import scored

ASK = "How long do I have to file an appeal against a civil judgment?"
FERRY = "Where is the ferry to Graz?"
UNDO = "How do I undo a commit in a shared git repository?"
TOLD = "The ferry leaves the harbour at nine and it is back at ten. "
DOCUMENT = (TOLD * 5)[:299]
CONTEXT = f"Context:\n{DOCUMENT}"
ANSWERED = "It leaves the old harbour at nine o'clock."
DONE = f"Question: {UNDO}\nAnswer: {ANSWERED}"
FENCED = f"```\n{ASK}\n```"
FRAME = "Answer in one sentence."
LINE = "x = load(y);\n"
LONG = "You answer the question. " * 24


def taken(*paragraphs: str) -> list[str] | None:
    message = "\n\n".join(paragraphs)
    section = labelled(scored(message))
    return None if section is None else [message[one.block.start : one.block.end].strip() for one in section]


def case(name: str, *paragraphs: str, asks: list[str] | None) -> object:
    return pytest.param(paragraphs, asks, id=name)


# --- which label --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("no label", ASK, asks=None),
        case("labels of material alone", CONTEXT, ASK, asks=None),
        case("a question", f"Question: {ASK}", asks=[ASK]),
        case("a turn", f"Human: {ASK}", asks=[ASK]),
        case("before material", f"Question: {ASK}", CONTEXT, asks=[ASK]),
        case("behind material", CONTEXT, f"Question: {ASK}", asks=[ASK]),
        case("a name of a higher rank", f"Task: {UNDO}", f"Question: {ASK}", CONTEXT, asks=[ASK]),
        case("that stands first", f"Question: {ASK}", f"Task: {UNDO}", CONTEXT, asks=[ASK]),
        case("of ranks above inputs the last", CONTEXT, f"Question: {ASK}", f"Goal: {UNDO}", asks=[UNDO]),
        case("an input is below all others", CONTEXT, f"Goal: {ASK}", f"Input: {UNDO}", asks=[ASK]),
        case("of inputs the last", CONTEXT, f"Input: {ASK}", f"Input: {UNDO}", asks=[UNDO]),
        case("of asks before material the first", f"Question: {ASK}", f"Question: {UNDO}", CONTEXT, asks=[ASK]),
        case("of those behind it the last", CONTEXT, f"Question: {ASK}", f"Question: {UNDO}", asks=[UNDO]),
        case("of turns the last", f"Human: {ASK}", f"Human: {UNDO}", asks=[UNDO]),
        case("a heading first", f"# Task\n{ASK}", f"Question: {UNDO}", f"# Context\n{DOCUMENT}", asks=[ASK]),
        case("a label before a heading", f"Task: {UNDO}", f"# Question\n{ASK}", f"# Context\n{DOCUMENT}", asks=[ASK]),
        case("what says nothing", f"Question: {ASK}", f"Question: {FRAME}", asks=[ASK]),
        case("what says nothing before", CONTEXT, f"Question: {ASK}", f"Input: {LINE}", asks=[ASK]),
        case("nothing but what says nothing", f"Question: {FRAME}", asks=None),
        case("a frame that asks", CONTEXT, f"Question: {ASK}", "Question: Can you answer the question?",
             asks=["Can you answer the question?"]),
        case("a frame that hardly asks", CONTEXT, f"Question: {ASK}", "Question: Answer my question.", asks=[ASK]),
        case("one that just asks", CONTEXT, f"Question: {ASK}", "Question: the question?", asks=["the question?"]),
        case("a frame", CONTEXT, f"Question: {ASK}", f"Question: {LONG[:499]}", asks=[ASK]),
        case("code", CONTEXT, f"Question: {ASK}", f"Question: {LINE}", asks=[ASK]),
        case("code of a turn", f"Human: {ASK}", f"Human: {LINE}", asks=[LINE.strip()]),
    ],
)  # fmt: skip
def test_the_label_with_the_ask_is_told_by_its_name_and_its_place(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("the one that is not", DONE, f"Question: {ASK}", asks=[ASK]),
        case("of several the last", CONTEXT, DONE, f"Question: {ASK}\nAnswer: {ANSWERED}", asks=[ASK]),
        case("before all material, too", DONE, f"Question: {ASK}\nAnswer: {ANSWERED}", asks=[ASK]),
        case("the place of the answer", CONTEXT, f"Question: {UNDO}", f"Question: {ASK}\nAnswer:", asks=[ASK]),
        case("its place with who answers", CONTEXT, f"Question: {UNDO}", f"Question: {ASK}\nAnswer: {ANSWERED[:40]}",
             asks=[ASK]),
        case("an answer that is longer", CONTEXT, f"Question: {UNDO}", f"Question: {ASK}\nAnswer: {ANSWERED[:41]}",
             asks=[UNDO]),
        case("a short answer that is not the end", CONTEXT, f"Question: {ASK}", f"Question: {UNDO}\nAnswer: In Graz.",
             CONTEXT, asks=[ASK]),
        case("what has no name is none", f"Question: {UNDO}\nAnswer: {ANSWERED}\n---\n{FENCED}", asks=[UNDO]),
        case("an input below what is answered", DONE, f"Input: {ASK}", asks=[ASK]),
        case("an answer to nothing", f"Answer: {ANSWERED}", f"Question: {ASK}", asks=[ASK]),
    ],
)  # fmt: skip
def test_what_is_answered_is_not_the_ask(paragraphs: tuple[str, ...], asks: list[str] | None) -> None:
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("alone", "The old harbour", FENCED, asks=[ASK]),
        case("two of them", FENCED, f"```\n{UNDO}\n```", asks=None),
        case("beside who asks", FERRY, FENCED, asks=None),
        case("beside who only speaks", "The ferry is mine.", FENCED, asks=[ASK]),
        case("beside a name", f"Input: {UNDO}\n---\n{FENCED}", asks=[UNDO]),
    ],
)  # fmt: skip
def test_what_has_no_name_but_asks_counts_where_nothing_else_does(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


INSIDE = f"# Context\n{DOCUMENT}\n\nQuestion: {UNDO}"


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("behind a question without a label", ASK, INSIDE, asks=None),
        case("behind a shorter one", FERRY, INSIDE, asks=None),
        case("before material inside", CONTEXT, f"# Question\n{ASK}", INSIDE, asks=[ASK]),
        case("behind a frame", FRAME, INSIDE, asks=[UNDO]),
        case("behind words that ask nothing", "The ferry is mine.", INSIDE, asks=[UNDO]),
        case("behind nothing", INSIDE, asks=[UNDO]),
        case("behind one outside", f"Question: {ASK}", INSIDE, asks=[ASK]),
        case("behind one outside, of lower rank", f"Task: {ASK}", INSIDE, asks=[ASK]),
        case("before one outside", INSIDE, f"# Question\n{ASK}", asks=[ASK]),
    ],
)  # fmt: skip
def test_a_weaker_label_within_material_counts_where_nobody_asks_outside(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


EXAMPLE = f"Question: {UNDO}\nContext:\n{TOLD}\nAnswer: {ANSWERED}"


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("the next", EXAMPLE, f"Question: {ASK}", CONTEXT, f"Question: {FERRY}", asks=[ASK]),
        case("the next, and none behind", EXAMPLE, f"Question: {ASK}", CONTEXT, asks=[ASK]),
        case("an example whose material comes first", f"Context:\n{TOLD}\nQuestion: {UNDO}\nAnswer: {ANSWERED}",
             f"Question: {ASK}", f"Context:\n{TOLD}", f"Question: {FERRY}", asks=[FERRY]),
    ],
)  # fmt: skip
def test_an_example_shows_that_material_follows_its_question(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("who asks before labels", ASK, CONTEXT, f"Question: {UNDO}", asks=None),
        case("who speaks before labels", "My civil appeal in Graz is late.", CONTEXT, f"Question: {UNDO}", asks=None),
        case("who only tells", "The civil appeal in Graz is late.", CONTEXT, f"Question: {UNDO}", asks=[UNDO]),
        case("of two things", "My appeal in Graz is here.", CONTEXT, f"Question: {UNDO}", asks=[UNDO]),
        case("who asks before a document", ASK, DOCUMENT, f"Question: {UNDO}", asks=None),
        case("who asks behind a document", DOCUMENT, ASK, f"Question: {UNDO}", asks=[UNDO]),
        case("nothing but a question mark", "the civil appeal in Graz?", DOCUMENT, f"Question: {UNDO}", asks=None),
        case("who tells and asks", "The ferry leaves.", ASK, CONTEXT, f"Question: {UNDO}", asks=None),
        case("material between labels", ASK, f"Question: {UNDO}", CONTEXT, f"Question: {FERRY}", asks=[FERRY]),
        case("a label before a heading", ASK, CONTEXT, f"Question: {UNDO}", f"# Question\n{FERRY}", asks=None),
        case("who speaks before a document", "My civil appeal in Graz is late.", DOCUMENT, f"Question: {UNDO}",
             asks=[UNDO]),
        case("who asks before no material", ASK, f"Question: {UNDO}", asks=[UNDO]),
        case("a heading is stronger", ASK, CONTEXT, f"# Question\n{UNDO}", asks=[UNDO]),
        case("who asks behind material", CONTEXT, "---", ASK, f"Question: {UNDO}", asks=[UNDO]),
        case("a frame before the labels", FRAME, f"Question: {ASK}", CONTEXT, f"Question: {UNDO}", asks=[ASK]),
        case("a person before the labels", "The ferry is mine.", f"Question: {ASK}", CONTEXT, f"Question: {UNDO}",
             asks=[UNDO]),
    ],
)  # fmt: skip
def test_who_asks_before_all_labels_has_written_no_label(paragraphs: tuple[str, ...], asks: list[str] | None) -> None:
    assert taken(*paragraphs) == asks


# --- what of a section --------------------------------------------------------------------------------------------

MUCH = f"```\n{LINE * 20}```"
LITTLE = "```\nrun\n```"
REST = (DOCUMENT[:200], DOCUMENT[: 350 - len(FRAME) - 200 - 4])


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("paragraphs", "Question:\nI live in Graz.", ASK, asks=["I live in Graz.", ASK]),
        case("a frame at the end", f"Question:\n{ASK}", FRAME, asks=[ASK]),
        case("several", f"Question:\n{ASK}", FRAME, FRAME, asks=[ASK]),
        case("a frame at the beginning", f"Question:\n{FRAME}", ASK, asks=[FRAME, ASK]),
        case("material behind an ask", f"Question:\n{ASK}", MUCH, asks=[ASK]),
        case("material behind words", "Question:\nThe old ferry", MUCH, asks=["The old ferry", MUCH]),
        case("material before an ask", "Question:\nThe old ferry", MUCH, ASK, asks=["The old ferry", MUCH, ASK]),
        case("material between asks", f"Question:\n{ASK}", MUCH, UNDO, asks=[ASK, MUCH, UNDO]),
        case("what follows material", f"Question:\n{ASK}", MUCH, "The ferry is mine.", asks=[ASK]),
        case("behind what hardly asks", "Question:\nMy old ferry", MUCH, "The ferry is mine.",
             asks=["My old ferry", MUCH, "The ferry is mine."]),
        case("a little code", f"Question:\n{ASK}", LITTLE, asks=[ASK, LITTLE]),
        case("material behind what hardly asks", "Question:\nThe harbour", "My old ferry", MUCH,
             asks=["The harbour", "My old ferry"]),
        case("more material", f"Question:\n{ASK}", MUCH, UNDO, MUCH, "The ferry is mine.",
             asks=[ASK, MUCH, UNDO, MUCH, "The ferry is mine."]),
    ],
)  # fmt: skip
def test_frames_and_what_follows_material_are_no_part_of_the_ask(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


# --- rivals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("two alike", f"Question: {ASK}", f"Question: {UNDO}", asks=[ASK, UNDO]),
        case("of two ranks", f"Question: {ASK}", f"Task: {UNDO}", asks=[]),
        case("under one label", f"Question: {ASK}", UNDO, asks=[]),
        case("one that asks nothing", f"Question: {ASK}", "Question: The ferry is mine.", asks=[]),
        case("turns", f"Human: {ASK}", f"Human: {UNDO}", asks=[]),
        case("one without a label", ASK, f"Question: {UNDO}", asks=[]),
    ],
)  # fmt: skip
def test_several_asks_under_labels_alike_are_rivals(paragraphs: tuple[str, ...], asks: list[str]) -> None:
    message = "\n\n".join(paragraphs)
    assert labelled_rivals(message, scored(message)) == tuple(asks)

"""Which blocks of a message ask where no label says so."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.free import free, rivals
from support.scored_blocks import scored

ASK = "How long do I have to file an appeal against a civil judgment?"
OTHER = "How do I undo a commit in a shared git repository?"
FERRY = "Where is the ferry to Graz?"
NEED = "The lawyer says that a civil appeal is mine to lose."
LINE = "x = load(y);\n"
LITTLE, MUCH = "```\nrun\n```", f"```\n{LINE * 20}```"
LEAD = "This is my old ferry so far"
FILE = f"```notes.txt\n{LINE}```"
WORDS = "The ferry leaves the harbour at nine and it is back at ten. " * 12
DOCUMENT = WORDS[:299]
STORY = "We sold our barn to the neighbour and he painted it red and blue. " * 12
STONES = "Old stone harbours. " * 20
FRAME = "Answer the question in one sentence."
PERSONA = "You are Nova, a witty companion who speaks of the sea and of ships."
NOISE = "docker compose port conflict"
CONTEXT = f"Context:\n{DOCUMENT}"


def story(size: int) -> str:
    return f"{STORY[: size - 1]}."


def taken(*paragraphs: str) -> list[str] | None:
    message = "\n\n".join(paragraphs)
    selected = free(message, scored(message))
    return None if selected is None else [message[one.block.start : one.block.end].strip() for one in selected]


def several(*paragraphs: str) -> tuple[str, ...]:
    message = "\n\n".join(paragraphs)
    found = scored(message)
    return rivals(message, found, free(message, found) or found)


def case(name: str, *paragraphs: str, asks: list[str] | None) -> object:
    return pytest.param(paragraphs, asks, id=name)


# --- what is the ask ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("a question and a little code", ASK, LITTLE, asks=None),
        case("paragraphs of a person", "I live in Graz.", ASK, asks=None),
        case("material before", MUCH, ASK, asks=[ASK]),
        case("material behind", ASK, MUCH, asks=[ASK]),
        case("a short file", FILE, ASK, asks=[ASK]),
        case("a frame before", FRAME, ASK, asks=[ASK]),
        case("a frame behind", ASK, FRAME, asks=[ASK]),
        case("a long frame beside who tells and who asks", "I live in Graz.", PERSONA, ASK, asks=[ASK]),
        case("a little code beside the question", MUCH, LITTLE, ASK, asks=[LITTLE, ASK]),
        case("words that are no sentence beside material", NOISE, MUCH, ASK, asks=[ASK]),
        case("words that are no sentence alone", NOISE, ASK, asks=None),
        case("another language around", "Wann fährt die Fähre und was kostet sie?", ASK, asks=[ASK]),
    ],
)  # fmt: skip
def test_what_a_person_wrote_is_taken_from_what_stands_around(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("code", MUCH, asks=None),
        case("a document", DOCUMENT, asks=None),
        case("documents and code", DOCUMENT, MUCH, asks=None),
        case("a file", FILE, asks=[]),
        case("what a label names", CONTEXT, asks=[]),
        case("frames around a fence", FRAME, MUCH, asks=[]),
        case("frames around a document", FRAME, DOCUMENT, asks=None),
        case("frames around a fence and a document", FRAME, MUCH, DOCUMENT, asks=None),
        case("frames alone", FRAME, FRAME, asks=None),
        case("what two rules enclose", f"-----\n{DOCUMENT}\n-----", FRAME, asks=[]),
        case("words beside material that ask nothing", "The civil appeal", MUCH, asks=None),
        case("words beside what a label names", "The civil appeal", CONTEXT, asks=["The civil appeal"]),
        case("one word of content", "Where is my ferry?", MUCH, asks=None),
        case("one word of content before a label", "Where is my ferry?", CONTEXT, asks=["Where is my ferry?"]),
        case("a person that does not ask", NEED, MUCH, asks=[NEED]),
        case("two words of content", "Where is the ferry to Graz?", MUCH, asks=["Where is the ferry to Graz?"]),
    ],
)  # fmt: skip
def test_where_nobody_asks_a_mark_tells_whether_there_is_an_ask(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    """Code or a document without a mark is the message."""
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("it points", "Where is the fault in this code?", MUCH, asks=None),
        case("it points and says of what", "Where does this code lose a civil appeal?", MUCH,
             asks=["Where does this code lose a civil appeal?"]),
        case("it points at a file", "Where is this fault?", FILE, asks=["Where is this fault?"]),
        case("it points, and there is none", FRAME, "Where is the civil fault in this code?",
             asks=["Where is the civil fault in this code?"]),
        case("it points, and there is some", MUCH, "Where is the civil fault in this code?", asks=None),
        case("a long word of the material", "How do I paint the harbours?", "Harbours " + DOCUMENT, asks=None),
        case("a shorter word", "How do I paint the harbour?", DOCUMENT, asks=["How do I paint the harbour?"]),
        case("three words of the material", "Which ferry leaves Graz at nine, and is it back?", DOCUMENT, asks=None),
        case("two words of it", "Which ferry leaves Graz in June?", DOCUMENT,
             asks=["Which ferry leaves Graz in June?"]),
    ],
)  # fmt: skip
def test_a_question_about_unmarked_material_keeps_it(paragraphs: tuple[str, ...], asks: list[str] | None) -> None:
    assert taken(*paragraphs) == asks


# --- chats, and the end of material -------------------------------------------------------------------------------

TOLD = "The harbour is shut."
LED = "I have this crane:"
TABLE = "a,b,c,d\n1,2,3,4\n5,6,7,8"
CHAT = "[10:01] ann: the ferry is late\n[10:02] bob: "


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("a log", MUCH, f"{CHAT}where is it?", asks=[f"{CHAT}where is it?"]),
        case("a log that only tells", MUCH, f"{CHAT}the harbour is shut", asks=None),
        case("a log above", f"{CHAT}where is it?", ASK, asks=None),
        case("a log behind two others", MUCH, TOLD, f"{CHAT}where is it?", asks=[f"{CHAT}where is it?"]),
        case("nobody says anything", MUCH, CHAT, asks=None),
        case("lines", MUCH, "Ann: it is late\nBob: my ferry left", asks=["Ann: it is late\nBob: my ferry left"]),
        case("lines that only tell", MUCH, "Ann: it is late\nBob: the ferry left", asks=None),
        case("lines that say how to answer", ASK, "Ann: it is late\nBob: respond to me in one sentence", asks=None),
    ],
)  # fmt: skip
def test_the_last_line_of_a_chat_asks(paragraphs: tuple[str, ...], asks: list[str] | None) -> None:
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("the last", CONTEXT, ASK, asks=[ASK]),
        case("the last but three", CONTEXT, ASK, *[TOLD] * 3, asks=[ASK, *[TOLD] * 3]),
        case("the last but four", CONTEXT, ASK, *[TOLD] * 4, asks=[]),
        case("of two the last", CONTEXT, ASK, FERRY, asks=[FERRY]),
        case("behind a long paragraph", CONTEXT, ASK, WORDS[:350], asks=[ASK, WORDS[:350]]),
        case("behind a longer one", CONTEXT, ASK, f"{WORDS[:350]}.", asks=[]),
        case("under another label", f"Context:\n{ASK}", f"Documents:\n{TOLD}", asks=[]),
        case("one that hardly asks", CONTEXT, "The old ferry is mine.", asks=[]),
        case("a frame", CONTEXT, "Can you answer the question in one sentence?", asks=[]),
        case("a quote", CONTEXT, f"> {ASK}", asks=[]),
        case("nothing but material", f"Context:\n{TOLD}", asks=[]),
        case("beside who asks", FERRY, CONTEXT, ASK, asks=[FERRY]),
        case("beside who just asks", "ferry Graz?", CONTEXT, ASK, asks=["ferry Graz?"]),
        case("the end just asks", CONTEXT, "ferry Graz?", asks=["ferry Graz?"]),
        case("beside who hardly asks", "The old ferry is mine.", CONTEXT, ASK, asks=[ASK]),
    ],
)  # fmt: skip
def test_under_a_label_of_material_the_end_of_it_may_be_none(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("a fence", LED, LITTLE, ASK, asks=[LED, LITTLE, ASK]),
        case("a table", "I've these boats:", TABLE, ASK, asks=["I've these boats:", TABLE, ASK]),
        case("what is no sentence", LED, "LOAD crane;", ASK, asks=[LED, "LOAD crane;", ASK]),
        case("words between", LED, LITTLE, TOLD, ASK, asks=[LED, LITTLE, TOLD, ASK]),
        case("two paragraphs between", LED, LITTLE, TOLD, TOLD, ASK, asks=[ASK]),
        case("what no person leads to", "The crane is this:", LITTLE, ASK, asks=[ASK]),
        case("what a company leads to", "We have this crane:", LITTLE, ASK, asks=[ASK]),
        case("what nobody leads to", "I have this crane.", LITTLE, ASK, asks=[ASK]),
    ],
)  # fmt: skip
def test_the_code_to_which_a_person_leads_belongs_to_the_question_below(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    """All of it stands under a heading of material, behind a document."""
    assert taken(f"# Context\n\n{DOCUMENT}", *paragraphs) == asks


# --- leads, stories and scraps ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("a lead", ASK, f"{LEAD}:", MUCH, asks=[ASK]),
        case("a wide colon", ASK, f"{LEAD}：", MUCH, asks=[ASK]),
        case("no colon", ASK, f"{LEAD}.", MUCH, asks=[ASK, f"{LEAD}."]),
        case("one that asks", ASK, "Why does my old ferry leave so late:", MUCH,
             asks=[ASK, "Why does my old ferry leave so late:"]),
        case("a lead to no material", ASK, f"{LEAD}:", LITTLE, MUCH, asks=[ASK, f"{LEAD}:", LITTLE]),
        case("one that speaks where nobody asks", "My code for the old ferry to Graz:", MUCH,
             asks=["My code for the old ferry to Graz:"]),
        case("one that does not speak either", "The code for the old ferry to Graz:", MUCH, asks=[]),
    ],
)  # fmt: skip
def test_what_leads_to_material_is_a_frame_where_others_ask(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("before", story(351), ASK, asks=[ASK]),
        case("behind", ASK, story(351), asks=[ASK]),
        case("a shorter one", story(348), ASK, asks=None),
        case("one that asks", f"{story(351)} Where may we go?", ASK, asks=None),
        case("a question that points at it", story(351), "How do I explain this to a civil court?", asks=None),
        case("a question that speaks of somebody in it", story(351), "How does he file a civil appeal?", asks=None),
        case("a question of few words", story(351), "Where is the ferry to Graz?", asks=None),
        case("a question that is long itself", story(351), f"{ASK} {story(287)}", asks=None),
        case("long together", story(351), story(348), ASK, asks=[ASK]),
        case("700 characters together", story(349), story(349), ASK, asks=None),
        case("more together", story(349), story(349), "I am.", ASK, asks=[ASK]),
        case("one of 350 characters", story(349), ASK, asks=None),
        case("one of 351 characters", story(350), ASK, asks=[ASK]),
        case("one that just asks", f"{story(351)} sold?", ASK, asks=None),
        case("a question that just asks", story(351), "old civil appeal Graz?", asks=["old civil appeal Graz?"]),
        case("one that does not ask", story(351), "Old civil appeals are mine.", asks=None),
        case("a question of 349 characters", story(400), f"{ASK} {STONES[:286]}", asks=[f"{ASK} {STONES[:286]}"]),
        case("one of 350 characters", story(400), f"{ASK} {STONES[:287]}", asks=None),
        case("a question between", story(351), ASK, "I live in Graz.", asks=None),
        case("a rule between them", f"{story(100)}\n---\n{ASK}", asks=[ASK]),
        case("a rule before it", f"{ASK}\n-----\n{story(100)}", asks=[ASK]),
        case("a rule and a question that points", f"{story(100)}\n-----\nHow do I explain all this to a civil court?",
             asks=["How do I explain all this to a civil court?"]),
    ],
)  # fmt: skip
def test_a_long_story_is_material_beside_a_question_that_needs_none_of_it(
    paragraphs: tuple[str, ...], asks: list[str] | None
) -> None:
    assert taken(*paragraphs) == asks


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("of both ends", ASK, MUCH, OTHER, asks=[ASK, OTHER]),
        case("between material", MUCH, ASK, MUCH, asks=[ASK]),
        case("an end before the middle", ASK, MUCH, OTHER, MUCH, asks=[ASK]),
        case("the other end", MUCH, OTHER, MUCH, ASK, asks=[ASK]),
        case("an end that says too little", "Is it mine?", MUCH, OTHER, MUCH, asks=["Is it mine?", OTHER]),
        case("an end that only tells", TOLD, MUCH, ASK, asks=[ASK]),
        case("what hardly asks of both ends", NEED, MUCH, "A ferry is mine.", asks=[NEED, "A ferry is mine."]),
        case("a question of few words and one that tells", "Is it mine?", MUCH, NEED, asks=["Is it mine?", NEED]),
        case("a little code alone is no group", LITTLE, MUCH, ASK, asks=[ASK]),
        case("a scrap before", "Ok, here we go", ASK, MUCH, asks=[ASK]),
        case("a scrap before a little code", "Ok, here we go", LITTLE, ASK, MUCH, asks=["Ok, here we go", LITTLE, ASK]),
        case("a scrap that asks", "Ok?", ASK, MUCH, asks=["Ok?", ASK]),
        case("what says something", "The old ferry", ASK, MUCH, asks=["The old ferry", ASK]),
        case("one word of content", "The ferry", ASK, MUCH, asks=[ASK]),
        case("a scrap beside a question of one word", "Ok, here we go", "Where is my ferry?", CONTEXT,
             asks=["Ok, here we go", "Where is my ferry?"]),
        case("a scrap beside a question of two words", "Ok, here we go", FERRY, MUCH, asks=[FERRY]),
        case("a scrap beside what just asks", "Ok, here we go", "ferry Graz?", MUCH, asks=["ferry Graz?"]),
        case("what just asks is no end without words", "ferry?", MUCH, OTHER, MUCH, asks=["ferry?", OTHER]),
        case("an end of two words before the middle", FERRY, MUCH, OTHER, MUCH, asks=[FERRY]),
        case("an end that speaks before the middle", NEED, MUCH, OTHER, MUCH, asks=[NEED]),
        case("who just asks before who speaks", "old civil appeal?", MUCH, NEED, asks=["old civil appeal?"]),
        case("two words that ask are too few", FERRY, MUCH, NEED, asks=[FERRY, NEED]),
        case("a scrap beside what hardly asks", "Ok, here we go", NEED, MUCH, asks=["Ok, here we go", NEED]),
    ],
)  # fmt: skip
def test_of_several_groups_those_that_ask_most_are_taken(paragraphs: tuple[str, ...], asks: list[str] | None) -> None:
    assert taken(*paragraphs) == asks


# --- rivals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paragraphs", "asks"),
    [
        case("both ends", ASK, MUCH, OTHER, asks=[ASK, OTHER]),
        case("with what belongs to one", "I rent a flat.", ASK, MUCH, OTHER, asks=[f"I rent a flat.\n\n{ASK}", OTHER]),
        case("one end", ASK, "I live in Graz.", MUCH, asks=[]),
        case("a frame between", ASK, FRAME, OTHER, MUCH, asks=[]),
        case("one that does not ask", NEED, MUCH, ASK, asks=[]),
        case("one that says nothing of its subject", "Where is the ferry?", MUCH, ASK, asks=[]),
        case("one that points", "How do I repair the import in this code?", MUCH, ASK, asks=[]),
        case("the same within more", ASK, MUCH, f"I say it again. {ASK}", asks=[]),
        case("three", ASK, MUCH, OTHER, MUCH, FERRY, asks=[ASK, FERRY]),
    ],
)  # fmt: skip
def test_asks_around_material_that_could_each_stand_alone_are_rivals(
    paragraphs: tuple[str, ...], asks: list[str]
) -> None:
    assert several(*paragraphs) == tuple(asks)

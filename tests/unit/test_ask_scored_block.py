"""What a block of a message is: what a person wrote, a frame around it, or material."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.blocks import TextBlock
from pointsman.routing.ask.forms import BlockForm
from pointsman.routing.ask.names import PartRole, RankedRole
from pointsman.routing.ask.scored_block import BlockKind, ScoredBlock, is_plain, judge, one_language, stands_alone
from support.scored_blocks import scored

ASK = "How long do I have to file an appeal against a civil judgment?"
CODE = "x = load(y);\n"
ROWS = "Graz,1,2,3\nLinz,4,5,6\nWels,7,8,9\n"
TOLD = "The ferry leaves the harbour at nine and it is back at ten. " * 10
PERSONA = "You are Nova, a witty companion who speaks of the sea and of ships. " * 5
FREE = RankedRole(PartRole.FREE)


def one(text: str, form: BlockForm | None = None, name: RankedRole = FREE) -> ScoredBlock:
    return judge(
        text, TextBlock(0, len(text), name, form, 0, lines=[line.strip() for line in text.strip().split("\n")])
    )


def kinds(message: str) -> list[BlockKind]:
    return [found.kind for found in scored(message)]


# --- one block ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        pytest.param(ASK, BlockKind.USER_TEXT, id="a question"),
        pytest.param("Answer the question in one sentence.", BlockKind.FRAME, id="a frame"),
        pytest.param(PERSONA, BlockKind.FRAME, id="a frame of any length"),
        pytest.param("docker compose port conflict", BlockKind.NOISE, id="words that are no sentence"),
        pytest.param("docker compose port conflict?", BlockKind.USER_TEXT, id="such words that ask"),
        pytest.param("the port of a container", BlockKind.USER_TEXT, id="a part of a sentence"),
        pytest.param(TOLD[:250], BlockKind.USER_TEXT, id="a paragraph that does not ask"),
        pytest.param(TOLD[:251], BlockKind.MATERIAL, id="a long one"),
        pytest.param(f"{TOLD[:251]} May I come along?", BlockKind.USER_TEXT, id="a long one that asks"),
        pytest.param((CODE * 20)[:199], BlockKind.SMALL, id="a little code"),
        pytest.param((CODE * 20)[:200], BlockKind.MATERIAL, id="more code"),
        pytest.param("> The ferry leaves at nine.", BlockKind.SMALL, id="a short quote"),
        pytest.param(ROWS, BlockKind.MATERIAL, id="a table of any length"),
        pytest.param(f"“{TOLD[:250]} May I come along?”", BlockKind.USER_TEXT, id="a long quotation that asks"),
    ],
)
def test_a_block_is_told_by_its_words_its_form_and_its_length(text: str, kind: BlockKind) -> None:
    assert one(text).kind is kind


@pytest.mark.parametrize("form", [BlockForm.ENCLOSED, BlockForm.FILE])
def test_what_rules_enclose_and_a_file_are_material_however_short(form: BlockForm) -> None:
    assert one(ASK, form) == ScoredBlock(one(ASK, form).block, PartRole.FREE, BlockKind.MATERIAL)


@pytest.mark.parametrize("role", [PartRole.OTHER, PartRole.ANSWER])
def test_what_has_the_name_of_material_or_of_an_answer_is_not_looked_at(role: PartRole) -> None:
    found = one(ASK, name=RankedRole(role))
    assert found == ScoredBlock(found.block, role, BlockKind.MATERIAL, score=0, content=0, english=None)


def test_what_is_under_the_name_of_an_ask_is_told_like_what_has_none() -> None:
    named = one(ASK, name=RankedRole(PartRole.ASK, 3))
    assert (named.role, named.kind) == (PartRole.ASK, BlockKind.USER_TEXT)
    assert one(CODE, name=RankedRole(PartRole.ASK, 3)).role is PartRole.ASK


def test_a_quotation_as_a_whole_passes_on_an_ask_in_whatever_language() -> None:
    """Words that ask nothing count as much as a question mark does."""
    found = one("„Hafen Fähre Uhr“")
    assert (found.kind, found.score, found.english) == (BlockKind.USER_TEXT, 2, True)


def test_space_around_a_block_changes_nothing_but_its_size() -> None:
    bare, spaced = one("(a b)"), one(" (a b)\n")
    assert (spaced.kind, spaced.score, spaced.content, spaced.size) == (BlockKind.FRAME, bare.score, bare.content, 7)


def test_what_stands_beside_a_block_is_not_looked_at() -> None:
    """Nor does its place count."""
    text = f"{TOLD}<q>(a b)</q>"
    found = judge(text, TextBlock(len(TOLD) + 3, len(TOLD) + 8, FREE, None, 0, lines=["(a b)"]))
    assert (found.kind, found.size) == (BlockKind.FRAME, 5)
    code = judge(f"{TOLD}{CODE}", TextBlock(len(TOLD), len(TOLD) + len(CODE), FREE, BlockForm.CODE, 0))
    assert code.kind is BlockKind.SMALL


def test_content_is_counted_but_not_that_of_material() -> None:
    assert one("Where is the ferry to Graz?").content == 2
    assert one(TOLD[:251]).content == 0


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        pytest.param("Where is the ferry to Graz?", True, id="it asks about something"),
        pytest.param("Where is the ferry?", False, id="about one word"),
        pytest.param("The old ferry to Graz and Linz is mine.", False, id="it does not ask"),
        pytest.param("ferry harbour Graz?", True, id="nothing but a question mark"),
        pytest.param("Do not answer where the ferry to Graz is.", False, id="a frame"),
    ],
)
def test_what_asks_and_says_about_what_stands_alone(text: str, alone: bool) -> None:
    assert stands_alone(one(text)) is alone


# --- the blocks of a message --------------------------------------------------------------------------------------


GERMAN = "Die Antwort ist auf Deutsch und nicht zu lang."
ASKED = "Wann fährt die Fähre und was kostet sie?"
OTHERS = [
    pytest.param(f"{ASK}\n\n{ASKED}", [BlockKind.USER_TEXT, BlockKind.FRAME], id="a question"),
    pytest.param(f"{GERMAN}\n\n{ASK}", [BlockKind.FRAME, BlockKind.USER_TEXT], id="words without a verb that is known"),
    pytest.param(
        f"the ferry to Graz?\n\n{ASKED}",
        [BlockKind.USER_TEXT, BlockKind.FRAME],
        id="around nothing but a question mark",
    ),
    pytest.param(
        f"ferry Graz?\n\n{ASKED}", [BlockKind.USER_TEXT, BlockKind.USER_TEXT], id="around what may be in any language"
    ),
    pytest.param(
        f"The ferry is mine.\n\n{ASKED}", [BlockKind.USER_TEXT, BlockKind.USER_TEXT], id="around what does not ask"
    ),
    pytest.param(f"{GERMAN}\n\n{ASKED}", [BlockKind.NOISE, BlockKind.USER_TEXT], id="all of them"),
    pytest.param(f"{ASK}\n\n{CODE}", [BlockKind.USER_TEXT, BlockKind.SMALL], id="none"),
    pytest.param(f"{ASK}\n\nferry Graz?", [BlockKind.USER_TEXT, BlockKind.USER_TEXT], id="none that is surely another"),
]


@pytest.mark.parametrize(("message", "expected"), OTHERS)
def test_other_languages_around_a_question_in_english_are_a_templates(message: str, expected: list[BlockKind]) -> None:
    assert [found.kind for found in one_language(scored(message))] == expected


def test_material_in_another_language_stays_material() -> None:
    message = scored(f"{ASK}\n\n{GERMAN}")
    foreign = message[1].become(BlockKind.MATERIAL)
    assert one_language([message[0], foreign])[1].kind is BlockKind.MATERIAL


def test_a_frame_in_english_is_no_question_in_english() -> None:
    asked, foreign = scored(f"{ASK}\n\n{GERMAN}")
    message = [asked.become(BlockKind.FRAME), foreign]
    assert one_language(message) is message


# --- plain --------------------------------------------------------------------------------------------------------

LOG = "2026-01-01 10:00 lost\n2026-01-01 10:01 lost"
KEYS = "Port: 3\nHost: b\nUser: c"


@pytest.mark.parametrize(
    ("message", "plain"),
    [
        pytest.param(ASK, True, id="a question"),
        pytest.param(f"{ASK}\n\n{CODE}", True, id="with a little code"),
        pytest.param(f"My question: {ASK}\nTask: answer it for a friend in Graz.", True, id="labels of one's own"),
        pytest.param(f"Question: {ASK}", False, id="nothing but one ask with a label"),
        pytest.param(f"Question: {ASK}\n\nI am in Graz.", False, id="of two paragraphs"),
        pytest.param(f"I am in Graz.\n\nQuestion: {ASK}", True, id="one with a label, below words without"),
        pytest.param(f"I am in Graz.\n\n{ASK}\n\nThanks!", False, id="a greeting"),
        pytest.param(f"{ASK}\n\n{CODE * 20}", False, id="much code"),
        pytest.param(f"I lost it.\n\nHuman: {ASK}", True, id="one turn"),
        pytest.param(f"Human: I lost it.\n\nHuman: {ASK}", False, id="two turns"),
        pytest.param(f"<p>\n\n{ASK}\n\n{LOG}", False, id="a log at the end"),
        pytest.param(f"{LOG}\n\n{ASK}", True, id="a log at the beginning"),
        pytest.param(f"{ASK}\n\n{GERMAN}", False, id="two languages"),
    ],
)
def test_a_message_is_plain_where_a_person_wrote_all_of_it(message: str, plain: bool) -> None:
    assert is_plain(scored(message)) is plain


@pytest.mark.parametrize(("size", "plain"), [(500, True), (501, False)])
def test_a_longer_message_may_have_a_document_without_any_mark(size: int, plain: bool) -> None:
    message = f"{ASK}\n\n{TOLD[:240]}\n\n{TOLD}"
    blocks = scored(message[: size + 2])  # the blank lines between the blocks are in none
    assert sum(found.size for found in blocks) == size
    assert is_plain([found.become(BlockKind.USER_TEXT) for found in blocks]) is plain


@pytest.mark.parametrize(("rank", "plain"), [(-1, False), (0, True), (3, True), (4, False)])
def test_what_a_tag_names_or_nothing_but_its_words_is_not_plain(rank: int, plain: bool) -> None:
    """Tags rank above all labels, guesses below."""
    message = [*scored("I am in Graz."), one(ASK, name=RankedRole(PartRole.ASK, rank))]
    assert is_plain(message) is plain

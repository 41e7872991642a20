"""Which tags and brackets enclose a block of a message."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.names import PartRole, RankedRole, name_of
from pointsman.routing.ask.tags import may_enclose, tagged


def blocks(text: str, *, widest: bool = True) -> list[str]:
    """The names of the blocks, each with what it encloses."""
    return [f"{tag.name}: {text[tag.inner : tag.inner_end]}" for tag in tagged(text, name_of, widest=widest)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param("<context>\nSoup.\n</context>\nWhy?", ["context: \nSoup.\n"], id="a tag"),
        pytest.param('<doc id="7" lang="en">Soup.</doc>', ["doc: Soup."], id="attributes"),
        pytest.param("< context>Soup.</ context >", ["context: Soup."], id="spaces"),
        pytest.param("<Context>Soup.</CONTEXT>", ["Context: Soup."], id="capitals"),
        pytest.param("[CONTEXT]\nSoup.\n[/CONTEXT]", ["CONTEXT: \nSoup.\n"], id="brackets"),
        pytest.param("[Context]Soup.[END CONTEXT]", ["Context: Soup."], id="END before the name"),
        pytest.param("[context]Soup.[end context]", ["context: Soup."], id="end before the name"),
        pytest.param("[CONTEXT BEGIN]Soup.[CONTEXT END]", ["CONTEXT: Soup."], id="BEGIN and END behind the name"),
        pytest.param("[context begin]Soup.[context end]", ["context: Soup."], id="begin and end behind the name"),
        pytest.param("[/]<context>Soup.</context>[/context]", ["context: Soup."], id="both kinds of brackets"),
        pytest.param("<context>Soup.[/context]", [], id="brackets of two kinds"),
        pytest.param("[context](http://x.org)Soup.[/context]", [], id="a link"),
        pytest.param("<context></context>", ["context: "], id="nothing enclosed"),
        pytest.param("<context>Soup.", [], id="never closed"),
        pytest.param("</context>\n<context>", [], id="closed before it is opened"),
        pytest.param("</context>\n<context>Soup.</context>", ["context: Soup."], id="also closed before it is opened"),
        pytest.param(
            "<context>Soup.</context><question>Why?</question>", ["context: Soup.", "question: Why?"], id="two"
        ),
        pytest.param(
            "<context>Soup.</context><ask>\nWhy?\n</ask>",
            ["context: Soup.", "ask: \nWhy?\n"],
            id="right behind another",
        ),
        pytest.param("<context>A <note>soup</note>.</context>", ["context: A <note>soup</note>."], id="one in another"),
        pytest.param("<utt>\nWhy?\n</utt>", ["utt: \nWhy?\n"], id="an unknown name around lines"),
        pytest.param("<utt>\n</utt>", ["utt: \n"], id="an unknown name around a line end"),
        pytest.param("<question_bank>Why?</question_bank>", ["question_bank: Why?"], id="a name with an unknown word"),
        pytest.param("<utt>Why?</utt>", [], id="an unknown name within a line"),
        pytest.param("<section>\nWhy?\n</section>", [], id="an element of HTML"),
        pytest.param("<SECTION>\nWhy?\n</SECTION>", [], id="an element of HTML in capitals"),
        pytest.param("<code>x = y</code>", ["code: x = y"], id="an element of HTML that names material"),
        pytest.param("Read the <context>soup</context> first.", ["context: soup"], id="within a sentence"),
        pytest.param("What is a <context></context> tag?", [], id="a sentence that names a tag"),
        pytest.param("'<context>\nSoup.\n</context>", [], id="a quoted tag"),
        pytest.param("Why is the <context>\nhere and\n</context> there?", [], id="a sentence that names two tags"),
        pytest.param(
            "Hi.\n- \t>* <context>\nSoup.\n</context>", ["context: \nSoup.\n"], id="behind the mark of an item"
        ),
    ],
)
def test_a_block_is_what_a_tag_and_its_closing_tag_enclose(text: str, found: list[str]) -> None:
    assert blocks(text) == found


def test_a_block_knows_its_place_and_what_its_name_says() -> None:
    text = "Hi.\n<question>Why?</question>!"
    assert [tuple(tag) for tag in tagged(text, name_of, widest=True)] == [
        (4, 29, 14, 18, "question", RankedRole(PartRole.ASK, 3)),
    ]


@pytest.mark.parametrize(
    ("text", "widest", "first"),
    [
        pytest.param(
            "<doc>\nA\n</doc>\nWhy?\n<doc>\nB\n</doc>", "doc: \nA\n</doc>\nWhy?\n<doc>\nB\n", "doc: \nA\n", id="alone"
        ),
        pytest.param("See <doc>A</doc> and <doc>B</doc>.", "doc: A", "doc: A", id="within a line"),
    ],
)
def test_material_reaches_to_the_last_closing_tag_if_wanted(text: str, widest: str, first: str) -> None:
    assert blocks(text)[0] == widest
    assert blocks(text, widest=False)[0] == first
    assert len(blocks(text, widest=False)) == 2


@pytest.mark.parametrize(("tags", "found"), [(254, ["context: Soup."]), (255, [])])
def test_of_a_text_with_many_tags_the_first_256_are_looked_at(tags: int, found: list[str]) -> None:
    assert blocks("<br>" * tags + "\n<context>Soup.</context>") == found


@pytest.mark.parametrize(("spaces", "found"), [(100, ["context: \nSoup.\n"]), (99, [])])
def test_a_tag_stands_alone_if_the_100_characters_before_it_are_blank(spaces: int, found: list[str]) -> None:
    assert blocks(f"Soup:{' ' * spaces}<context>\nSoup.\n</context>") == found


@pytest.mark.parametrize(("attributes", "found"), [(299, 1), (300, 0)])
def test_a_tag_has_few_attributes(attributes: int, found: int) -> None:
    assert len(blocks(f"<context {'a' * attributes}>\nSoup.\n</context>")) == found


@pytest.mark.parametrize(("name", "found"), [("cc", 1), ("c", 0), ("c" * 39, 1), ("c" * 40, 0), ("1c", 0)])
def test_what_brackets_enclose_begins_with_a_letter_and_is_no_number_of_a_note(name: str, found: int) -> None:
    assert len(blocks(f"[{name}]\nSoup.\n[/{name}]")) == found


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("a </b", True),
        ("a [/b", True),
        ("[END b", True),
        ("[end b", True),
        ("[b end]", True),
        ("[b END]", True),
        ("<a> [b] end.", False),
    ],
)
def test_a_text_without_closing_tags_is_not_searched(text: str, may: bool) -> None:
    assert may_enclose(text) is may

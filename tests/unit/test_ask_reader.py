"""A text is split into blocks by its blank lines, fences, rules and labels."""

from __future__ import annotations

import pytest

from support.ask_blocks import blocks_of

NINE = "The ferry leaves at nine"
MANY = "\n".join([NINE] * 6)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param("One.\nTwo.\n\n \nThree.", ["1 free: One.\nTwo.", "1 free: Three."], id="blank lines"),
        pytest.param(
            f"{MANY}\nx = 1;\ny = 2;", [f"1 free: {MANY}\nx = 1;\ny = 2;"], id="the first lines tell the form"
        ),
        pytest.param(
            f"{MANY[: -len(NINE)]}x = 1;\ny = 2;", [f"1 free: {MANY[: -len(NINE)]}x = 1;\ny = 2;"], id="six of them"
        ),
        pytest.param("> One\n> Two", ["1 free quote: > One\n> Two"], id="a quote"),
        pytest.param("x = 1;\ny = 2;", ["1 free code: x = 1;\ny = 2;"], id="code"),
        pytest.param("x = 1;\nOne:\ny = 2;", ["1 free code: x = 1;\nOne:\ny = 2;"], id="a mark among code"),
        pytest.param("Moor.\n--\nAnn of Graz", ["1 free: Moor.", "2 other: Ann of Graz"], id="a signature"),
        pytest.param("--\nAnn\n\nMoor.", ["1 other: Ann", "2 free: Moor."], id="a blank line ends a signature"),
        pytest.param(
            "Moor.\n<!-- see: x.y -->\nHow?",
            ["1 free: Moor.", "1 other tagged: <!-- see: x.y -->", "1 free: How?"],
            id="a comment",
        ),
        pytest.param("Moor.\n<b>x: y.z -->", ["1 free: Moor.\n<b>x: y.z -->"], id="an end without a comment"),
    ],
)
def test_paragraphs_quotes_and_comments(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param(
            "Moor:\n```python\nx\n\n# Question\n```\nHow?",
            ["1 free: Moor:", "1 free fence: ```python\nx\n\n# Question\n```", "1 free: How?"],
            id="a fence",
        ),
        pytest.param("````\nx\n````", ["1 free fence: ````\nx\n````"], id="a longer mark"),
        pytest.param("  Context: ```py\nx\n```", ["1 other fence: ```py\nx\n```"], id="an indented label before it"),
        pytest.param("~~~\nx\n```\n~~~", ["1 free fence: ~~~\nx\n```\n~~~"], id="another fence within"),
        pytest.param(
            "```\nx\n```js\ny\n```.\nHow?", ["1 free fence: ```\nx\n```js\ny\n```.", "1 free: How?"], id="nested"
        ),
        pytest.param("```a.py\nx\n```", ["1 free file: ```a.py\nx\n```"], id="a file"),
        pytest.param('"""\nx\ny """\nHow?', ['1 free fence: """\nx\ny """', "1 free: How?"], id="its end on a line"),
        pytest.param("'''\nx\ny '''\nHow?", ["1 free fence: '''\nx\ny '''", "1 free: How?"], id="single marks"),
        pytest.param("Moor.\n '''x\n '''\nHow?", ["1 free: Moor.\n '''x\n '''\nHow?"], id="not with a space before it"),
        pytest.param("```\nx\ny```\nz\n```", ["1 free fence: ```\nx\ny```\nz\n```"], id="no end on a line of code"),
        pytest.param("```x = 1```\nHow?", ["1 free: ```x = 1```\nHow?"], id="code within a line"),
        pytest.param(
            "  See: ```a.py\n  x\n  ```\nHow?",
            ["1 free: See:", "1 free file: ```a.py\n  x\n  ```", "1 free: How?"],
            id="a fence behind words",
        ),
        pytest.param(
            "See ```x```: ```py\nx\n```\nHow?",
            ["1 free: See ```x```:", "1 free fence: ```py\nx\n```", "1 free: How?"],
            id="a fence behind code within a line",
        ),
        pytest.param("See ```py\nx\n", ["1 free: See ```py\nx"], id="none behind a word and a space"),
        pytest.param(
            "Context: ```py\nx\n```\nHow?",
            ["1 other fence: ```py\nx\n```", "2 free: How?"],
            id="a label before a fence ends with it",
        ),
        pytest.param(
            "Question:\n```py\nx\n```\nHow?", ["1 ask fence: ```py\nx\n```", "2 free: How?"], id="that of an ask too"
        ),
        pytest.param(
            "Question: Why?\n```py\nx\n```\nHow?",
            ["1 ask: Why?", "1 ask fence: ```py\nx\n```", "1 ask: How?"],
            id="unless the ask has begun",
        ),
        pytest.param(
            "# Context\n```py\nx\n```\nHow?",
            ["1 other! fence: ```py\nx\n```", "1 other!: How?"],
            id="a heading goes on",
        ),
        pytest.param("```\nHow do I moor it?\n```", ["1 guess: How do I moor it?"], id="an ask in a fence"),
        pytest.param("```txt\nHow do I moor it?\n```", ["1 guess: How do I moor it?"], id="one with a language"),
        pytest.param('"""How do I moor it,\nand why?"""', ["1 guess: How do I moor it,\nand why?"], id="on its line"),
        pytest.param(
            "```a.txt\nHow do I moor it?\n```", ["1 free file: ```a.txt\nHow do I moor it?\n```"], id="not in a file"
        ),
        pytest.param(
            "Context:\n```\nHow do I moor it?\n```",
            ["1 other fence: ```\nHow do I moor it?\n```"],
            id="nor in material",
        ),
        pytest.param(f"Moor.\n```\n{NINE}\n\nHow?", ["1 free: Moor.", f"1 free: {NINE}", "1 free: How?"], id="no end"),
        pytest.param("Moor.\n```", ["1 free: Moor."], id="nothing in it"),
        pytest.param("```\nx\n'''\ny\n", ["1 free: x", "1 free: y"], id="two without an end"),
    ],
)
def test_a_fence_is_one_block_if_it_ends(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param(
            "Ferry question ropes\n---\nHow?", ["1 free: Ferry question ropes", "1 free: How?"], id="its last word"
        ),
        pytest.param(
            "One more context\n---\nA.\n\nOne more question\n---\nHow?\n\nWhy?",
            ["1 other!: A.", "2 ask!: How?", "2 ask!: Why?"],
            id="lines below titles are no rules",
        ),
        pytest.param("Question\n========\nHow?", ["1 ask!: How?"], id="a title over a rule"),
        pytest.param("One more question\n---\nHow?", ["1 ask!: How?"], id="one of three words"),
        pytest.param(
            "One more question here\n---\nHow?",
            ["1 free: One more question here", "1 free: How?"],
            id="not of four words",
        ),
        pytest.param(
            "One more question?\n---\nHow?",
            ["1 free: One more question?", "1 free: How?"],
            id="nor with a mark at its end",
        ),
        pytest.param(
            "One more question\n***\nHow?", ["1 free: One more question", "1 free: How?"], id="nor over another rule"
        ),
        pytest.param(
            "One.\nOne more question\n---\nHow?",
            ["1 free: One.\nOne more question", "1 free: How?"],
            id="nor of two lines",
        ),
        pytest.param("One more\n---\nHow?", ["1 free: One more", "1 free: How?"], id="nor of no known name"),
        pytest.param(
            "One more context\n===\nA.\n\nOne more question\n---\nHow?\n\nOne more question\n===\nWhy?",
            ["1 other!: A.", "2 ask!: How?", "3 ask!: Why?"],
            id="underlined titles",
        ),
        pytest.param(
            "One more context\n---\nA.\n\n## Question\nHow?",
            ["1 other!: A.", "2 ask!: How?"],
            id="a title over - is one of the second",
        ),
        pytest.param(
            "One more context\n===\nA.\n\nQuestion: How?", ["1 other!: A.", "2 ask<: How?"], id="what is within it"
        ),
        pytest.param(
            "One more question\n===\nA.\n\nQuestion: How?", ["1 ask!: A.", "2 ask: How?"], id="what is within none"
        ),
        pytest.param("Context:\nA.\n---\nHow?", ["1 other: A.", "2 free: How?"], id="a rule ends a label"),
        pytest.param(
            "Context:\n\n---\nA.\n---\nHow?", ["1 other<: A.", "2 free: How?"], id="but not before it is used"
        ),
        pytest.param(
            "# Context\nA.\n\n---\nQuestion: How?", ["1 other!: A.", "2 ask: How?"], id="it ends what is within, too"
        ),
        pytest.param("A.\n---\nB.\n---\nC.", ["1 free: A.", "1 free< enclosed: B.", "1 free: C."], id="two rules"),
        pytest.param("A.\n---\nB.\n***\nC.", ["1 free: A.", "1 free: B.", "1 free: C."], id="two unlike rules"),
    ],
)
def test_titles_and_rules(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks

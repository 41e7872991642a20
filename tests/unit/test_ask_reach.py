"""How far a label reaches, and which labels within material count."""

from __future__ import annotations

import pytest

from support.ask_blocks import blocks_of

TIDE = "The tide turns."


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param(f"Context: {TIDE}\n\nMoor.", [f"1 other: {TIDE}", "2 free: Moor."], id="on its own line"),
        pytest.param(f"Context:\n{TIDE}\n\nMoor.", [f"1 other: {TIDE}", "1 other: Moor."], id="above it"),
        pytest.param(
            f"Here is all of the context:\n\n{TIDE}\n\nMoor.", [f"1 other: {TIDE}", "2 free: Moor."], id="a sentence"
        ),
        pytest.param(f"# Context: Graz\n\n{TIDE}", ["1 other!: Graz", f"1 other!: {TIDE}"], id="a heading"),
        pytest.param(f"Question: How?\n\n{TIDE}", ["1 ask: How?", f"1 ask: {TIDE}"], id="an ask of several paragraphs"),
        pytest.param("Moor it. Question: How?", ["1 free: Moor it.", "2 ask: How?"], id="behind a sentence"),
        pytest.param("Moor it.\nQuestion: How?", ["1 free: Moor it.", "2 ask: How?"], id="below a line"),
    ],
)
def test_a_label_for_material_on_a_line_ends_with_the_paragraph(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param("Answer the question:\nMoor.", ["1 ask: Moor."], id="a label"),
        pytest.param(
            "Reply in two sentences:\nMoor.", ["1 free: Reply in two sentences:", "1 free: Moor."], id="a frame"
        ),
        pytest.param("A.\nReply in French:\nB.", ["1 free: A.", "1 free: Reply in French:", "1 free: B."], id="within"),
        pytest.param("质问。\n请用法语回答：\nB.", ["1 free: 质问。\n请用法语回答：\nB."], id="another language"),
        pytest.param("My ropes are these:\nMoor.", ["1 free: My ropes are these:\nMoor."], id="a person's line"),
        pytest.param(
            "Moor.\nMy ropes are these:\n\n", ["1 free: Moor.", "1 free: My ropes are these:"], id="the last line"
        ),
        pytest.param("Moor.\nMy ropes：", ["1 free: Moor.", "1 free: My ropes："], id="one with a wide colon"),
        pytest.param("Never say X\nMoor: it", ["1 free: Never say X\nMoor: it"], id="a frame without a colon"),
        pytest.param("Reply, Ann: in two\nMoor.", ["1 free: Reply, Ann: in two\nMoor."], id="a colon within"),
    ],
)
def test_a_frame_with_a_colon_at_its_end_and_a_last_one_are_blocks_of_their_own(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


FERRY = "How do I moor a ferry?"


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param(
            f"Name: Ann\nPort: Graz\nStory: {FERRY}",
            ["1 free keys: Name: Ann\nPort: Graz", f"2 guess: {FERRY}"],
            id="three",
        ),
        pytest.param(f"Name: Ann\nStory: {FERRY}", ["1 free: Name: Ann", f"2 guess: {FERRY}"], id="two"),
        pytest.param(f"Story: {FERRY}", [f"1 free: Story: {FERRY}"], id="one"),
        pytest.param(f"Name: Ann\n\nStory: {FERRY}", ["1 free: Name: Ann", f"1 free: Story: {FERRY}"], id="two apart"),
        pytest.param(
            f"Name: Ann\n\nPort: Graz\nStory: {FERRY}",
            ["1 free: Name: Ann", "1 free: Port: Graz", f"2 guess: {FERRY}"],
            id="two behind a blank line",
        ),
        pytest.param(f"Name: Ann\nStory: {TIDE}", [f"1 free keys: Name: Ann\nStory: {TIDE}"], id="none that asks"),
        pytest.param(f"  Name: Ann\n  Story: {FERRY}", ["1 free: Name: Ann", f"2 guess: {FERRY}"], id="indented"),
        pytest.param(
            f"Date: May\nPort: Graz\nStory: {FERRY}",
            ["1 other: May\nPort: Graz", f"2 guess: {FERRY}"],
            id="a known name",
        ),
        pytest.param(
            f"# Context\nName: Ann\nStory: {FERRY}", [f"1 other! keys: Name: Ann\nStory: {FERRY}"], id="under a heading"
        ),
        pytest.param(
            f"Question: A.\nport: Graz\nstory: {FERRY}",
            [f"1 ask keys: A.\nport: Graz\nstory: {FERRY}"],
            id="within an ask",
        ),
        pytest.param(f"Name: Ann\nNotes: {FERRY}", ["1 free: Name: Ann", f"2 guess: {FERRY}"], id="a name of material"),
        pytest.param(f"Name: Ann\nNotes: {TIDE}", ["1 free: Name: Ann", f"2 other: {TIDE}"], id="material"),
        pytest.param(f"Name: Ann\nAnswer: {FERRY}", ["1 free: Name: Ann", f"2 answer: {FERRY}"], id="an answer"),
        pytest.param(f"Notes: {FERRY}", [f"1 other: {FERRY}"], id="material alone"),
        pytest.param(f"**Notes:** {FERRY}", [f"1 guess: {FERRY}"], id="a bold name"),
        pytest.param(f"**Notes:**\n{FERRY}", [f"1 other!: {FERRY}"], id="a bold name above"),
        pytest.param(f"Special instructions: {FERRY}", [f"1 guess: {FERRY}"], id="instructions"),
        pytest.param(f"Special instructions:\n{FERRY}", [f"1 other: {FERRY}"], id="instructions above"),
        pytest.param(
            f"Notes: instructions say: {FERRY}", [f"1 other: instructions say: {FERRY}"], id="the word behind"
        ),
    ],
)
def test_of_a_form_the_field_that_asks_may_be_the_ask(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


@pytest.mark.parametrize(("size", "role"), [(79, "guess"), (80, "other")])
def test_a_longer_line_is_no_field(size: int, role: str) -> None:
    line = f"Question: {'x' * (size - 10)}"
    assert blocks_of(f"{line}\nNotes: {FERRY}")[1] == f"2 {role}: {FERRY}"


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param("Question: How?\nPort: Graz", ["1 ask: How?", "2 other: Port: Graz"], id="a capital"),
        pytest.param("Question: How?\nport: Graz", ["1 ask: How?\nport: Graz"], id="a small letter"),
        pytest.param(
            "Name: Ann\nQuestion: How?\nport: Graz",
            ["1 free: Name: Ann", "2 ask: How?", "3 other: port: Graz"],
            id="below others",
        ),
        pytest.param("Question:\nHow?\nPort: Graz", ["1 ask: How?\nPort: Graz"], id="an ask below its label"),
        pytest.param("**Question:** How?\n**Port:** Graz", ["1 ask: How?", "2 other: **Port:** Graz"], id="bold"),
        pytest.param(
            "Question: How?\n**Port:** Graz", ["1 ask: How?\n**Port:** Graz"], id="a bold one below a plain one"
        ),
        pytest.param(
            "Question: How?\nPort: Graz\n\nMoor.", ["1 ask: How?", "2 other: Port: Graz", "3 free: Moor."], id="its end"
        ),
        pytest.param(
            "Question: How?\nNotes: none\nPort: Graz", ["1 ask: How?", "2 other: none\nPort: Graz"], id="below material"
        ),
    ],
)
def test_the_next_field_of_a_form_ends_the_ask(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param(
            f"# Context\n{TIDE}\nNotes: none\nAI: Yes.\nQuestion: Why?",
            [f"1 other! keys: {TIDE}\nNotes: none\nAI: Yes.", "2 ask<: Why?"],
            id="its own material and answers on their lines are no labels",
        ),
        pytest.param(f"# Context\n{TIDE}\nNotes:\nA.", [f"1 other!: {TIDE}", "2 other<: A."], id="one above lines is"),
        pytest.param(
            f"Context: {TIDE}\nNotes: A.", [f"1 other: {TIDE}", "2 other: A."], id="so is one under no heading"
        ),
        pytest.param(
            f"# Context\n{TIDE}\n\n# Question\nWhy?\nQuestion: How?",
            [f"1 other!: {TIDE}", "2 ask!: Why?", "3 ask: How?"],
            id="a heading of its style ends material",
        ),
        pytest.param(
            "[Question]\nHow?\n[END QUESTION]\nMoor.", ["1 ask!: How?", "2 free!: Moor."], id="the frame of an ask ends"
        ),
        pytest.param("# Context\n## Question\nWhy?", ["1 ask!: Why?"], id="the first heading below one counts"),
        pytest.param(
            f"# Context\n{TIDE}\n\n# Question\nWhy?",
            [f"1 other!: {TIDE}", "2 ask!: Why?"],
            id="so does one of its level",
        ),
        pytest.param(
            f"[Context]\n{TIDE}\n\n# Question\nWhy?\n[Question]\nHow?",
            [f"1 other!: {TIDE}", "2 ask!<: Why?", "3 ask!: How?"],
            id="a heading of another style may be the material's",
        ),
        pytest.param(
            f"# Context\n{TIDE}\nUser: Hi\nAI: Yes.\nQuestion: Why?\nNotes: none\n\nMoor.",
            [f"1 other!: {TIDE}", "2 user<: Hi", "3 answer<: Yes.", "4 ask<: Why?", "5 other<: none", "6 free<: Moor."],
            id="labels within material",
        ),
        pytest.param(
            f"User: Hi\n\n# Context\n{TIDE}\nUser: Go.\nAI: Yes.\nQuestion: Why?",
            ["1 user: Hi", f"2 other!: {TIDE}", "3 user: Go.", "4 answer: Yes.", "5 ask: Why?"],
            id="a transcript from above the material goes on",
        ),
        pytest.param(
            f"AI: Hi.\n\n# Context\n{TIDE}\nUser: Go.",
            ["1 answer: Hi.", f"2 other!: {TIDE}", "3 user: Go."],
            id="so does one that the model begins",
        ),
        pytest.param(
            f"  # Context\n  {TIDE}\nQuestion: Why?", [f"1 other!: {TIDE}", "2 ask: Why?"], id="what is less indented"
        ),
        pytest.param(
            f"  # Context\n  {TIDE}\n  Question: Why?", [f"1 other!: {TIDE}", "2 ask<: Why?"], id="what is as indented"
        ),
        pytest.param(
            f"# Question\nWhy?\n\n[Context]\n{TIDE}\n\n# Task\nMoor.",
            ["1 ask!: Why?", f"2 other!: {TIDE}", "3 ask!<: Moor."],
            id="what is above material is not within it",
        ),
    ],
)
def test_labels_within_material(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param(f"# Question\nHow?\n\n# Ropes\n{TIDE}", ["1 ask!: How?", f"2 other!: {TIDE}"], id="of its level"),
        pytest.param(
            f"## Question\nHow?\n\n# Ropes\n{TIDE}", ["1 ask!: How?", f"2 other!: {TIDE}"], id="of a higher level"
        ),
        pytest.param(
            f"# Question\nHow?\n\n## Ropes\n{TIDE}", ["1 ask!: How?", f"1 ask!: ## Ropes\n{TIDE}"], id="not of a lower"
        ),
        pytest.param(
            f"# Question\nHow?\n# Ropes\n{TIDE}", [f"1 ask!: How?\n# Ropes\n{TIDE}"], id="not a comment in code"
        ),
        pytest.param(f"## Question\nHow?\n## Ropes\n{TIDE}", ["1 ask!: How?", f"2 other!: {TIDE}"], id="two marks"),
        pytest.param(f"[Question]\nHow?\n[Ropes]\n{TIDE}", ["1 ask!: How?", f"2 other!: {TIDE}"], id="brackets"),
        pytest.param(f"[Question]\nHow?\n# Ropes\n{TIDE}", [f"1 ask!: How?\n# Ropes\n{TIDE}"], id="not another style"),
        pytest.param(
            f"# Context\n{TIDE}\n\n# Ropes\nHow?",
            [f"1 other!: {TIDE}", "1 other!: # Ropes\nHow?"],
            id="not of material",
        ),
        pytest.param(
            f"Moor.\n\n# Ropes\n{TIDE}", ["1 free: Moor.", f"1 free: # Ropes\n{TIDE}"], id="not of no section"
        ),
    ],
)
def test_a_heading_of_no_known_name_ends_an_ask_of_its_style(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        pytest.param(f"[Context]\n{TIDE}\n[END CONTEXT]\nMoor.", [f"1 other!: {TIDE}", "2 free!: Moor."], id="a frame"),
        pytest.param(
            f"# Context\n{TIDE}\n[END CONTEXT]\nMoor.", [f"1 other!: {TIDE}", "2 free!<: Moor."], id="a heading"
        ),
        pytest.param(
            "Question:\nHow?\n[END QUESTION]\nMoor.",
            ["1 ask: How?\n[END QUESTION]\nMoor."],
            id="not one without a mark",
        ),
    ],
)
def test_the_mark_of_an_end_ends_what_another_mark_began(text: str, blocks: list[str]) -> None:
    assert blocks_of(text) == blocks

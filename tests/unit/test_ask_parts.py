"""Tags, pasted pieces and the ends of a message's parts among the blocks of a text."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.names import GUESS, OTHER, PartRole, RankedRole, name_of
from pointsman.routing.ask.reader import BlockParser
from support.ask_blocks import shown

ASK = RankedRole(PartRole.ASK, 3)
TAG = "<x>One.</x>"


def tagged(text: str, name: RankedRole) -> list[str]:
    """The blocks of a text with a tag of this name."""
    reader = BlockParser(text, name_of)
    start = text.index(TAG)
    end = start + len(TAG)
    reader.read(0, start)
    reader.opaque(start, end, name, (start + 3, end - 4))
    reader.read(end, len(text))
    reader.part(len(text))
    return shown(text, reader)


@pytest.mark.parametrize(
    ("text", "name", "blocks"),
    [
        pytest.param(f"Hi.{TAG}Go.", OTHER, ["1 free: Hi.", f"2 other tagged: {TAG}", "3 free: Go."], id="material"),
        pytest.param(f"Hi.{TAG}Go.", ASK, ["1 free: Hi.", "2 ask: One.", "3 free: Go."], id="an ask"),
        pytest.param(f"Hi.{TAG}Go.", GUESS, ["1 free: Hi.", "2 guess: One.", "3 free: Go."], id="a guess"),
        pytest.param(
            f"Context:\n{TAG}\nGo.", OTHER, [f"1 other tagged: {TAG}", "2 free: Go."], id="a label that names a tag"
        ),
        pytest.param(f"Context:{TAG}Go.", OTHER, [f"1 other tagged: {TAG}", "2 free: Go."], id="one on its line"),
        pytest.param(f"Context:\n{TAG}\nGo.", ASK, ["1 ask<: One.", "2 free: Go."], id="an ask under such a label"),
        pytest.param(f"Question:\n{TAG}\nGo.", ASK, ["1 ask: One.", "2 free: Go."], id="a label that names an ask"),
        pytest.param(
            f"Question: Hi.\n{TAG}\nGo.",
            OTHER,
            ["1 ask: Hi.", f"2 other tagged: {TAG}", "3 ask: Go."],
            id="an ask goes on",
        ),
        pytest.param(
            f"# Context\n{TAG}\nGo.",
            OTHER,
            [f"1 other tagged: {TAG}", "2 other!: Go."],
            id="a heading goes on behind a tag",
        ),
        pytest.param(
            f"# Context\nHi.\n{TAG}\nGo.\nQuestion: How?",
            OTHER,
            ["1 other!: Hi.", f"2 other tagged: {TAG}", "3 free: Go.", "4 ask: How?"],
            id="unless it has material of its own",
        ),
        pytest.param(
            f"# Context\nHi.\n{TAG}\nGo.",
            ASK,
            ["1 other!: Hi.", "2 ask<: One.", "3 other!: Go."],
            id="an ask within material",
        ),
        pytest.param(
            f"# Context\nHi.\nQuestion: How?\n{TAG}\nGo.",
            ASK,
            ["1 other!: Hi.", "2 ask<: How?", "3 ask<: One.", "4 ask<: Go."],
            id="an ask among what may be material",
        ),
        pytest.param(
            f"```\nx\n{TAG}\n```\nGo.", OTHER, [f"1 free fence: ```\nx\n{TAG}\n```", "1 free: Go."], id="a fence"
        ),
        pytest.param(
            f"Context: A.\n{TAG}\n\nGo.",
            OTHER,
            ["1 other: A.", f"2 other tagged: {TAG}", "3 free: Go."],
            id="a label on a line",
        ),
    ],
)
def test_a_tag_is_a_block_of_its_own_name(text: str, name: RankedRole, blocks: list[str]) -> None:
    assert tagged(text, name) == blocks


@pytest.mark.parametrize(
    ("parts", "blocks"),
    [
        pytest.param(["Context:", "One.", "Two."], ["1 other: One.", "2 free: Two."], id="a label alone names a part"),
        pytest.param(["Context:\nOne.", "Two."], ["1 other: One.", "2 free: Two."], id="a label ends with its part"),
        pytest.param(["Question: One.", "Two."], ["1 ask: One.", "2 free: Two."], id="that of an ask, too"),
        pytest.param(["# Context\nOne.", "Question: Two."], ["1 other!: One.", "2 ask: Two."], id="what is within it"),
        pytest.param(["One.", "Two."], ["1 free: One.", "2 free: Two."], id="parts are sections"),
        pytest.param(["```\nOne.", "Two."], ["1 free: One.", "2 free: Two."], id="a fence without an end"),
        pytest.param(["```", "Two."], ["1 free: Two."], id="one of nothing"),
    ],
)
def test_a_part_ends_what_it_began(parts: list[str], blocks: list[str]) -> None:
    text = " ".join(parts)
    reader, start = BlockParser(text, name_of), 0
    for part in parts:
        reader.read(start, start + len(part))
        reader.part(start + len(part))
        start += len(part) + 1
    assert shown(text, reader) == blocks


def test_a_heading_does_not_wait_behind_a_tag_or_a_fence() -> None:
    for text in (f"# Context\n{TAG}", "# Context\n```py\nx\n```"):
        reader, start = BlockParser(text, name_of), text.index("\n") + 1
        reader.read(0, start)
        assert reader.waits()
        if TAG in text:
            reader.opaque(start, len(text), OTHER, (start + 3, len(text) - 4))
        else:
            reader.read(start, len(text))
        assert not reader.waits()


@pytest.mark.parametrize(
    ("text", "waits"),
    [("Context:", True), ("Context: One.", False), ("Context:\nOne.", False), ("Question:", False), ("One.", False)],
)
def test_a_label_waits_for_material_that_has_not_come(text: str, waits: bool) -> None:
    reader = BlockParser(text, name_of)
    reader.read(0, len(text))
    assert reader.waits() is waits

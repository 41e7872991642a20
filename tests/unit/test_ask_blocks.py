"""The blocks of a message between rules."""

from __future__ import annotations

import pytest

from pointsman.routing.ask.blocks import TextBlock, enclosed
from pointsman.routing.ask.forms import BlockForm
from pointsman.routing.ask.names import PartRole, RankedRole
from support.scored_blocks import blocks_of

FREE = RankedRole(PartRole.FREE)


def marked_blocks(message: str) -> list[tuple[str, bool]]:
    """The form of each block, and whether it is inside of something."""
    return [(block.look().name.lower(), block.inside) for block in blocks_of(message)]


PROSE, INSIDE = ("prose", False), ("enclosed", True)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        pytest.param("Where is it?\n\nIn Graz.", [PROSE, PROSE], id="no rule"),
        pytest.param("-----\nIn Graz.", [PROSE], id="one rule"),
        pytest.param("a b\n-----\nIn Graz.\n-----\nc d", [PROSE, INSIDE, PROSE], id="two like rules"),
        pytest.param("-----\nIn Graz.\n\nIn Linz.\n-----", [INSIDE, INSIDE], id="two blocks between them"),
        pytest.param("-----\nIn Graz.\n=====", [PROSE], id="two rules that differ"),
        pytest.param("-----\nIn Graz.\n----", [PROSE], id="in length alone"),
        pytest.param("*****\na b\n-----\nc d\n-----\ne f\n*****", [PROSE, INSIDE, PROSE], id="two among others"),
        pytest.param("-----\na b\n-----\nc d\n-----\ne f", [INSIDE, PROSE, PROSE], id="three rules"),
        pytest.param("-----\na b\n-----\nc d\n-----\ne f\n-----\ng h", [INSIDE, PROSE, INSIDE, PROSE], id="two pairs"),
        pytest.param("-----\nx = load(y);\n-----", [("code", True)], id="code between them"),
        pytest.param("Question:\na b\n-----\nQuestion: In Graz?\n-----", [PROSE, ("prose", True)], id="a label"),
    ],
)
def test_prose_between_two_like_rules_is_enclosed(message: str, expected: list[tuple[str, bool]]) -> None:
    assert marked_blocks(message) == expected


def test_a_pair_reaches_from_its_first_rule_to_before_its_second() -> None:
    blocks = [TextBlock(at, at + 1, FREE, BlockForm.PROSE, 0) for at in range(5)]
    inside = [block.inside for block in enclosed(blocks, [("---", 1), ("---", 3)])]
    assert inside == [False, True, True, False, False]


def test_what_a_weaker_label_was_inside_of_stays_inside() -> None:
    blocks = [TextBlock(0, 1, FREE, BlockForm.PROSE, 0, inside=True), TextBlock(1, 2, FREE, BlockForm.PROSE, 0)]
    found = enclosed(blocks, [("---", 1), ("---", 3)])
    assert [(block.form, block.inside) for block in found] == [(BlockForm.PROSE, True), (BlockForm.ENCLOSED, True)]


def test_the_form_of_a_block_is_that_of_its_lines_unless_it_is_known() -> None:
    lines = ["> The ferry leaves.", "> It is late."]
    assert TextBlock(0, 9, FREE, None, 0, lines=lines).look() is BlockForm.QUOTE
    assert TextBlock(0, 9, FREE, BlockForm.FENCE, 0, lines=lines).look() is BlockForm.FENCE


def test_of_a_block_nothing_is_said_that_was_not_read() -> None:
    block = TextBlock(0, 1, FREE, None, 0)
    assert (block.strong, block.inside, block.lines) == (False, False, ())

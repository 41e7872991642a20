"""The blocks of a text, each with its role and form; pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pointsman.routing.ask.forms import BlockForm, form_of
from pointsman.routing.ask.names import PartRole, RankedRole


class TextBlock(msgspec.Struct, gc=False):
    """A part of a text; blocks of one `section` are under the same label.

    `form` is None if the beginnings of `lines`, without trailing space, must tell it. `strong`: the label is a heading,
    or set off by a frame of characters. `inside`: the label is weaker than a label of material above it, to which it
    may belong.
    """

    start: int
    end: int
    name: RankedRole
    form: BlockForm | None
    section: int
    strong: bool = False
    inside: bool = False
    lines: Sequence[str] = ()

    def look(self) -> BlockForm:
        """Return the form of the block, computed once."""
        if self.form is None:
            self.form = form_of(self.lines)
        return self.form


def enclosed(blocks: list[TextBlock], rules: list[tuple[str, int]]) -> list[TextBlock]:
    """Return the blocks; mark those between two equal rules as enclosed. `rules` are lines with positions."""
    ranges = _ranges(rules)
    index = 0
    for block in blocks:
        while index < len(ranges) and ranges[index][1] <= block.start:
            index += 1
        if index < len(ranges) and ranges[index][0] <= block.start:
            block.inside = True
            if block.name.role is PartRole.FREE and block.look() is BlockForm.PROSE:
                block.form = BlockForm.ENCLOSED
    return blocks


def _ranges(rules: list[tuple[str, int]]) -> list[tuple[int, int]]:
    """Return what equal rules enclose; each rule begins or ends one range."""
    ranges: list[tuple[int, int]] = []
    left: tuple[str, int] | None = None
    for rule in rules:
        if left is not None and left[0] == rule[0]:
            ranges.append((left[1], rule[1]))
            left = None
        else:
            left = rule
    return ranges

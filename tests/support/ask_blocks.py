"""Show the blocks into which the finder of asks splits a text."""

from __future__ import annotations

from pointsman.routing.ask.forms import BlockForm
from pointsman.routing.ask.names import name_of
from pointsman.routing.ask.reader import BlockParser


def blocks_of(text: str) -> list[str]:
    """The blocks of a text without tags."""
    reader = BlockParser(text, name_of)
    reader.read(0, len(text))
    reader.part(len(text))
    return shown(text, reader)


def shown(text: str, reader: BlockParser) -> list[str]:
    """Return a line for each block: its section, role and form, and its text.

    `!` follows the role of a block under a strong label, and `<` that of one which may belong to material.
    """
    lines, sections = [], list(dict.fromkeys(block.section for block in reader.done()))
    for block in reader.done():
        role = "guess" if block.name.rank < 0 else block.name.role.value
        marks = "!" * block.strong + "<" * block.inside
        form = "" if block.look() is BlockForm.PROSE else f" {block.look().name.lower()}"
        content = text[block.start : block.end].strip()
        lines.append(f"{sections.index(block.section) + 1} {role}{marks}{form}: {content}")
    return lines

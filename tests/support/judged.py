"""The blocks of a message, and what they are."""

from __future__ import annotations

from pointsman.routing.ask.blocks import Block
from pointsman.routing.ask.judged import Judged, judge
from pointsman.routing.ask.names import name_of
from pointsman.routing.ask.reader import Reader


def blocks_of(message: str) -> list[Block]:
    """Return the blocks of a message without tags."""
    reader = Reader(message, name_of)
    reader.read(0, len(message))
    reader.part(len(message))
    return reader.done()


def judged(message: str) -> list[Judged]:
    """Return what the blocks of a message without tags are."""
    return [judge(message, block) for block in blocks_of(message)]

"""The blocks of a message, and what they are."""

from __future__ import annotations

from pointsman.routing.ask.blocks import TextBlock
from pointsman.routing.ask.names import name_of
from pointsman.routing.ask.reader import BlockParser
from pointsman.routing.ask.scored_block import ScoredBlock, judge


def blocks_of(message: str) -> list[TextBlock]:
    """Return the blocks of a message without tags."""
    reader = BlockParser(message, name_of)
    reader.read(0, len(message))
    reader.part(len(message))
    return reader.done()


def scored(message: str) -> list[ScoredBlock]:
    """Return what the blocks of a message without tags are."""
    return [judge(message, block) for block in blocks_of(message)]

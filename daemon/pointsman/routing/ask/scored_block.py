"""Judge whether a block of a message is a person's text, a frame around it, or material; pure, bounded."""

from __future__ import annotations

import enum

import msgspec

from pointsman.routing.ask import prose
from pointsman.routing.ask.blocks import TextBlock
from pointsman.routing.ask.evidence import ASKS
from pointsman.routing.ask.forms import BlockForm
from pointsman.routing.ask.names import MATERIAL, PartRole, RankedRole

# Shorter code or quotes belong to a person's question, and stay in it.
_SMALL = 200
# A paragraph of this length that neither asks nor speaks of the person is material.
_LONG = 250
# The rank of a label; tags have a higher one.
_SUREST = 3
# A longer message may contain a document without any mark.
_SHORT = 500
_NOT_SMALL = (BlockForm.ENCLOSED, BlockForm.FILE, BlockForm.TABLE)


class BlockKind(enum.StrEnum):
    """The kind of a block, as shown in steps, except USER_TEXT."""

    USER_TEXT = "user_text"
    """A person's text. If it was not taken as the ask, steps call it `other`."""
    SMALL = "small"
    """A few lines that are not prose."""
    FRAME = "frame"
    """Text that only says that something must be answered, by whom, or in which form."""
    MATERIAL = "material"
    NOISE = "noise"
    """Words without a sentence: the blocks around tell their kind."""


_AROUND = (BlockKind.FRAME, BlockKind.MATERIAL)


class ScoredBlock(msgspec.Struct, frozen=True, gc=False):
    """A block, its role, its kind, how much it looks like an ask, and the number of words that tell its subject."""

    block: TextBlock
    role: PartRole
    kind: BlockKind
    score: int = 0
    content: int = 0
    english: bool | None = None
    words: prose.WordList = prose.NO_WORDS

    def become(self, kind: BlockKind) -> ScoredBlock:
        """Return the block as one of another kind."""
        return ScoredBlock(self.block, self.role, kind, self.score, self.content, self.english, self.words)

    @property
    def size(self) -> int:
        """Return the number of characters."""
        return self.block.end - self.block.start


def judge(text: str, block: TextBlock) -> ScoredBlock:
    """Return the kind of a block of a text."""
    role = block.name.role
    if role in MATERIAL:
        return ScoredBlock(block, role, BlockKind.MATERIAL)
    size, form = block.end - block.start, block.look()
    piece = text[block.start : block.end].strip()
    quoted = prose.is_quoted(piece)
    if form is not BlockForm.PROSE and not quoted:
        small = size < _SMALL and form not in _NOT_SMALL
        return ScoredBlock(block, role, BlockKind.SMALL if small else BlockKind.MATERIAL)
    found = prose.words_in(piece)
    score = prose.asks(piece, found, forwarded=quoted)
    kind = _kind_of(piece, found, score, size)
    content = 0 if kind is BlockKind.MATERIAL else prose.content(found)
    return ScoredBlock(block, role, kind, score, content, quoted or prose.is_english(piece, found), found)


def _kind_of(piece: str, found: prose.WordList, score: int, size: int) -> BlockKind:
    if prose.is_frame(piece, found):
        return BlockKind.FRAME
    if score:
        return BlockKind.USER_TEXT
    if size > _LONG:
        return BlockKind.MATERIAL
    return BlockKind.USER_TEXT if prose.has_function_words(found) else BlockKind.NOISE


def as_written(text: str, one: ScoredBlock) -> ScoredBlock:
    """Return a block as judged without its label."""
    return judge(text, msgspec.structs.replace(one.block, name=RankedRole(PartRole.FREE)))


def stands_alone(one: ScoredBlock) -> bool:
    """Return whether a block asks, and states a subject."""
    return one.kind is BlockKind.USER_TEXT and one.score >= ASKS and one.content >= 2


def leads_on(text: str, one: ScoredBlock) -> bool:
    """Return whether a block ends with a colon."""
    return text[one.block.start : one.block.end].rstrip().endswith((":", "："))


def one_language(scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return the paragraphs in other languages around a question in English as frames."""
    foreign = any(one.english is False for one in scored)
    if not foreign or not any(map(_asks_in_english, scored)):
        return scored
    said = (BlockKind.USER_TEXT, BlockKind.NOISE)
    return [one.become(BlockKind.FRAME) if one.kind in said and one.english is False else one for one in scored]


def _asks_in_english(one: ScoredBlock) -> bool:
    return one.english is True and one.kind is BlockKind.USER_TEXT and one.score >= ASKS


def is_plain(scored: list[ScoredBlock]) -> bool:
    """Return whether everything is a person's text, possibly under labels of its own."""
    if any(one.kind in _AROUND or not 0 <= one.block.name.rank <= _SUREST for one in scored):
        return False
    if scored[-1].block.look() is BlockForm.LOG or sum([one.size for one in scored]) > _SHORT:
        return False
    return one_language(scored) is scored and not _is_form(scored)


def _is_form(scored: list[ScoredBlock]) -> bool:
    """Return whether one label names everything as the ask, or there are several turns of a person."""
    if len({one.block.section for one in scored if one.role is PartRole.USER}) > 1:
        return True
    return all(one.role is PartRole.ASK for one in scored) and len({one.block.section for one in scored}) == 1

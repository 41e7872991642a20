"""Judge whether a block of a message is a person's text, a frame around it, or material; pure, bounded."""

from __future__ import annotations

import enum

import msgspec

from pointsman.routing.ask import prose
from pointsman.routing.ask.blocks import TextBlock
from pointsman.routing.ask.forms import BlockForm
from pointsman.routing.ask.names import MATERIAL, PartRole, RankedRole

# Shorter code or quotes belong to a person's question, and stay in it.
_SMALL = 200
# A paragraph of this length that neither asks nor speaks of the person is material.
_LONG = 250
# A longer message may contain a document without any mark.
_SHORT = 500
# The rank of a label; tags have a higher one.
_SUREST = 3
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
    size, role = block.end - block.start, block.name.role
    if role in MATERIAL:
        return ScoredBlock(block, role, BlockKind.MATERIAL)
    form = block.look()
    if form is not BlockForm.PROSE and not (form is BlockForm.QUOTE and _passed_on(text, block)):
        small = size < _SMALL and form not in _NOT_SMALL
        return ScoredBlock(block, role, BlockKind.SMALL if small else BlockKind.MATERIAL)
    piece = text[block.start : block.end].strip()
    found = prose.words_in(piece)
    quoted = prose.is_quoted(piece)
    score = prose.evidence_in(piece, found)._replace(forwarded=quoted).score
    if prose.is_frame(piece, found):
        kind = BlockKind.FRAME
    elif size > _LONG and score == 0:
        kind = BlockKind.MATERIAL
    elif score == 0 and not prose.has_function_words(found):
        kind = BlockKind.NOISE
    else:
        kind = BlockKind.USER_TEXT
    content = 0 if kind is BlockKind.MATERIAL else prose.content(found)
    return ScoredBlock(block, role, kind, score, content, quoted or prose.is_english(piece, found), found)


def as_written(text: str, one: ScoredBlock) -> ScoredBlock:
    """Return a block as judged without its label."""
    return judge(text, msgspec.structs.replace(one.block, name=RankedRole(PartRole.FREE)))


def _passed_on(text: str, block: TextBlock) -> bool:
    """Return whether a quotation asks: a person may forward somebody's question."""
    piece = text[block.start : block.end].strip()
    return prose.is_quoted(piece) and prose.asks(piece, prose.words_in(piece)) > 1


def stands_alone(one: ScoredBlock) -> bool:
    """Return whether a block asks, and states a subject."""
    return one.kind is BlockKind.USER_TEXT and one.score >= 2 and one.content >= 2


def leads_on(text: str, one: ScoredBlock) -> bool:
    """Return whether a block ends with a colon."""
    return text[one.block.start : one.block.end].rstrip().endswith((":", "："))


def one_language(scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return the paragraphs in other languages around a question in English as frames."""
    asked = any(one.english and one.kind is BlockKind.USER_TEXT and one.score >= 2 for one in scored)
    if not asked or all(one.english is not False for one in scored):
        return scored
    said = (BlockKind.USER_TEXT, BlockKind.NOISE)
    return [one.become(BlockKind.FRAME) if one.kind in said and one.english is False else one for one in scored]


def is_plain(scored: list[ScoredBlock]) -> bool:
    """Return whether everything is a person's text, possibly under labels of its own."""
    if any(
        one.kind in (BlockKind.FRAME, BlockKind.MATERIAL) or not 0 <= one.block.name.rank <= _SUREST for one in scored
    ):
        return False
    if scored[-1].block.look() is BlockForm.LOG or sum([one.size for one in scored]) > _SHORT:
        return False
    if one_language(scored) is not scored:
        return False
    roles = [one.role for one in scored]
    asks = PartRole.ASK in roles
    if asks and (
        (roles.count(PartRole.ASK) == len(roles) and len({one.block.section for one in scored}) == 1)
        or any(one.block.look() is BlockForm.KEYS for one in scored)
    ):
        return False
    return len({one.block.section for one in scored if one.role is PartRole.USER}) < 2

"""Judge whether a block of a message is a person's text, a frame around it, or material; pure, bounded."""

from __future__ import annotations

import enum

import msgspec

from pointsman.routing.ask import prose
from pointsman.routing.ask.blocks import Block
from pointsman.routing.ask.forms import Form
from pointsman.routing.ask.names import MATERIAL, Name, Role

# Shorter code or quotes belong to a person's question, and stay in it.
_SMALL = 200
# A paragraph of this length that neither asks nor speaks of the person is material.
_LONG = 250
# A longer message may contain a document without any mark.
_SHORT = 500
# The rank of a label; tags have a higher one.
_SUREST = 3
_NOT_SMALL = (Form.ENCLOSED, Form.FILE, Form.TABLE)


class Kind(enum.StrEnum):
    """The kind of a block, as shown in steps."""

    PERSON = "other"
    """A person's text; the parts that are not chosen do not belong to the ask."""
    SMALL = "small"
    """A few lines that are not prose."""
    FRAME = "frame"
    """Text that only says that something must be answered, by whom, or in which form."""
    MATERIAL = "material"
    NOISE = "noise"
    """Words without a sentence: the blocks around tell their kind."""


class Judged(msgspec.Struct, frozen=True, gc=False):
    """A block, its role, its kind, how much it looks like an ask, and the number of words that tell its subject."""

    block: Block
    role: Role
    kind: Kind
    score: int = 0
    content: int = 0
    english: bool | None = None
    words: prose.Words = prose.NO_WORDS

    def become(self, kind: Kind) -> Judged:
        """Return the block as one of another kind."""
        return Judged(self.block, self.role, kind, self.score, self.content, self.english, self.words)

    @property
    def size(self) -> int:
        """Return the number of characters."""
        return self.block.end - self.block.start


def judge(text: str, block: Block) -> Judged:
    """Return the kind of a block of a text."""
    size, role = block.end - block.start, block.name.role
    if role in MATERIAL:
        return Judged(block, role, Kind.MATERIAL)
    form = block.look()
    if form is not Form.PROSE and not (form is Form.QUOTE and _passed_on(text, block)):
        small = size < _SMALL and form not in _NOT_SMALL
        return Judged(block, role, Kind.SMALL if small else Kind.MATERIAL)
    piece = text[block.start : block.end].strip()
    found = prose.words_in(piece)
    quoted = prose.is_quoted(piece)
    score = prose.asks(piece, found) + 2 * quoted
    if prose.is_frame(piece, found):
        kind = Kind.FRAME
    elif size > _LONG and score == 0:
        kind = Kind.MATERIAL
    elif score == 0 and not prose.has_function_words(found):
        kind = Kind.NOISE
    else:
        kind = Kind.PERSON
    content = 0 if kind is Kind.MATERIAL else prose.content(found)
    return Judged(block, role, kind, score, content, quoted or prose.is_english(piece, found), found)


def as_written(text: str, one: Judged) -> Judged:
    """Return a block as judged without its label."""
    return judge(text, msgspec.structs.replace(one.block, name=Name(Role.FREE)))


def _passed_on(text: str, block: Block) -> bool:
    """Return whether a quotation asks: a person may forward somebody's question."""
    piece = text[block.start : block.end].strip()
    return prose.is_quoted(piece) and prose.asks(piece, prose.words_in(piece)) > 1


def stands_alone(one: Judged) -> bool:
    """Return whether a block asks, and states a subject."""
    return one.kind is Kind.PERSON and one.score >= 2 and one.content >= 2


def leads_on(text: str, one: Judged) -> bool:
    """Return whether a block ends with a colon."""
    return text[one.block.start : one.block.end].rstrip().endswith((":", "："))


def one_language(judged: list[Judged]) -> list[Judged]:
    """Return the paragraphs in other languages around a question in English as frames."""
    asked = any(one.english and one.kind is Kind.PERSON and one.score >= 2 for one in judged)
    if not asked or all(one.english is not False for one in judged):
        return judged
    said = (Kind.PERSON, Kind.NOISE)
    return [one.become(Kind.FRAME) if one.kind in said and one.english is False else one for one in judged]


def is_plain(judged: list[Judged]) -> bool:
    """Return whether everything is a person's text, possibly under labels of its own."""
    if any(one.kind in (Kind.FRAME, Kind.MATERIAL) or not 0 <= one.block.name.rank <= _SUREST for one in judged):
        return False
    if judged[-1].block.look() is Form.LOG or sum([one.size for one in judged]) > _SHORT:
        return False
    if one_language(judged) is not judged:
        return False
    roles = [one.role for one in judged]
    asks = Role.ASK in roles
    if asks and (
        (roles.count(Role.ASK) == len(roles) and len({one.block.section for one in judged}) == 1)
        or any(one.block.look() is Form.KEYS for one in judged)
    ):
        return False
    return len({one.block.section for one in judged if one.role is Role.USER}) < 2

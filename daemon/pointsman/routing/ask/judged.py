"""Judge what a block of a message is: what a person wrote, a frame around it, or material; pure, bounded."""

from __future__ import annotations

import enum
from typing import NamedTuple

from pointsman.routing.ask import prose
from pointsman.routing.ask.blocks import Block
from pointsman.routing.ask.forms import Form
from pointsman.routing.ask.names import Role

# Code or a quote that a person writes into a question is shorter, and stays in it.
_SMALL = 200
# A paragraph of this length that neither asks nor speaks of the person is material.
_LONG = 250
# A longer message may have a document without any mark.
_SHORT = 500
# A line that leads to the answer is shorter.
_CUE = 80


class Kind(enum.Enum):
    """What a block is; the values are shown as steps."""

    PERSON = "ask"
    SMALL = "small"
    """A few lines that are not prose."""
    FRAME = "frame"
    """It says only that something is to be answered, by whom, or in what form."""
    MATERIAL = "material"
    NOISE = "noise"
    """Words that are no sentence: what they are depends on what is around."""


class Judged(NamedTuple):
    """A block, what it is, how much it looks like an ask, and how many words say what it is about."""

    block: Block
    kind: Kind
    score: int = 0
    content: int = 0
    english: bool | None = None

    @property
    def role(self) -> Role:
        """Return the role of the label above."""
        return self.block.name.role

    @property
    def size(self) -> int:
        """Return the number of characters."""
        return self.block.end - self.block.start


def judge(text: str, block: Block) -> Judged:
    """Return what a block of a text is."""
    size = block.end - block.start
    if block.name.role in (Role.OTHER, Role.ANSWER):
        return Judged(block, Kind.MATERIAL)
    if block.form is not Form.PROSE:
        small = size < _SMALL and block.form not in (Form.ENCLOSED, Form.FILE, Form.TABLE)
        return Judged(block, Kind.SMALL if small else Kind.MATERIAL)
    piece = text[block.start : block.end]
    found = prose.words_in(piece)
    score, content = prose.asks(piece, found), prose.content(found)
    quoted = prose.is_quoted(piece)
    score += 2 * quoted
    if prose.is_frame(piece, found, content):
        kind = Kind.FRAME
    elif size > _LONG and score == 0:
        kind = Kind.MATERIAL
    elif score == 0 and not prose.has_function_words(found):
        kind = Kind.NOISE
    else:
        kind = Kind.PERSON
    return Judged(block, kind, score, content, quoted or prose.is_english(piece, found))


def without_cue(text: str, judged: list[Judged]) -> list[Judged]:
    """Return the blocks with a last line as a frame that only leads to the answer, such as "The modified code:"."""
    last = judged[-1] if len(judged) > 1 else None
    if last is None or last.kind is not Kind.PERSON or last.size > _CUE:
        return judged
    cue = text[last.block.start : last.block.end].rstrip()[-1:] in (":", "：")
    return [*judged[:-1], last._replace(kind=Kind.FRAME)] if cue else judged


def one_language(judged: list[Judged]) -> list[Judged]:
    """Return the paragraphs in other languages around a question in English as frames."""
    asked = any(one.english and one.kind is Kind.PERSON and one.score >= 2 for one in judged)
    if not asked or all(one.english is not False for one in judged):
        return judged
    said = (Kind.PERSON, Kind.NOISE)
    return [one._replace(kind=Kind.FRAME) if one.kind in said and one.english is False else one for one in judged]


def is_plain(judged: list[Judged]) -> bool:
    """Return whether there is nothing but what a person wrote, be it under labels of their own."""
    roles = {one.role for one in judged}
    if roles == {Role.ASK} and len({one.block.section for one in judged}) == 1:
        return False
    if Role.OTHER in roles or Role.ANSWER in roles or any(one.block.name.rank > 3 for one in judged):
        return False
    if any(one.kind in (Kind.FRAME, Kind.MATERIAL) for one in judged) or one_language(judged) is not judged:
        return False
    if judged and (judged[-1].block.form is Form.LOG or sum(one.size for one in judged) > _SHORT):
        return False
    if Role.ASK in roles and any(one.block.form is Form.KEYS for one in judged):
        return False
    return len({one.block.section for one in judged if one.role is Role.USER}) < 2

"""Choose the ask among the parts of a message whose labels or tags name an ask; pure."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from pointsman.routing.ask.blocks import TextBlock
from pointsman.routing.ask.forms import BlockForm
from pointsman.routing.ask.names import PartRole
from pointsman.routing.ask.scored_block import BlockKind, ScoredBlock, stands_alone

# At the end of a message, the place of an answer may have the answerer's name.
_CUE = 40

# A text longer than a frame contains more.
_LONG = 500
# What is longer than this behind a frame is material.
_MATERIAL = 350

_ASKING = (PartRole.ASK, PartRole.USER)

Section = list[ScoredBlock]
"""Blocks under the same label."""


def labelled(scored: list[ScoredBlock]) -> Section | None:
    """Return the blocks under the label of the ask; None if there is none, or a person asks before all labels."""
    if not any(one.role in _ASKING for one in scored):
        return None
    sections = [list(group) for _, group in groupby(scored, attrgetter("block.section"))]
    labels = [section[0].block for section in sections]
    asks: list[int] = []
    answered: dict[int, int] = {}
    for index, label in enumerate(labels):
        if label.name.role in _ASKING:
            asks.append(index)
        elif label.name.role is PartRole.ANSWER and asks and (label is not labels[-1] or sections[-1][-1].size > _CUE):
            answered.setdefault(asks[-1], index)
    asks = [index for index in asks if not _says_nothing(sections[index])]
    asks = [index for index in asks if labels[index].name.rank >= 0] or asks
    if not asks:
        return None
    left = [index for index in asks if index not in answered] or asks[-1:]
    min_rank = min(1, max(labels[index].name.rank for index in left))
    left = [index for index in left if labels[index].name.rank >= min_rank]
    outside = [index for index in left if not labels[index].inside]
    guessed = min_rank < 0
    if guessed and len(left) > 1:
        return None
    if (guessed or not outside) and any(one.role is PartRole.FREE and stands_alone(one) for one in scored):
        return None
    chosen = _of_several(sections, labels, outside or left, answered)
    return None if chosen is None else _trimmed(sections[chosen])


def labelled_rivals(text: str, scored: list[ScoredBlock]) -> tuple[str, ...]:
    """Return the asks of a message in which a person labelled several."""
    found = [one for one in scored if one.role is PartRole.ASK and stands_alone(one)]
    if len({one.block.section for one in found}) < 2 or len({one.block.name.rank for one in found}) > 1:
        return ()
    return tuple([text[one.block.start : one.block.end].strip() for one in found])


def _of_several(
    sections: list[Section], labels: list[TextBlock], asks: list[int], answered: dict[int, int]
) -> int | None:
    """Return the section with the ask.

    Text before any material was written first, so the first section counts there. Else the material comes first,
    whatever labels it has, and the last section counts, unless an example shows that material follows its question.
    """
    known = set(asks)
    early, lead = _before_material(sections, known)
    if early:
        strong = labels[early[0]].strong
        early = [index for index in early if labels[index].strong or not strong]
        return max(early, key=lambda index: (labels[index].name.rank, -index))
    for example, answer in answered.items():
        others = any(label.name.role is PartRole.OTHER for label in labels[example:answer])
        if others and labels[example].name.role is PartRole.ASK and example not in known:
            return next((index for index in asks if index > example), asks[-1])
    first = labels[asks[0]]
    after_material = any(one.kind is BlockKind.MATERIAL for section in sections[: asks[0]] for one in section)
    min_score = 1 if any(label.name.role is PartRole.OTHER for label in labels[: asks[0]]) else 2
    begins = sum(one.content for one in lead if one.kind is BlockKind.USER_TEXT) >= 3 and any(
        one.score >= min_score for one in lead
    )
    if begins and after_material and (not first.strong or first.inside):
        return None
    return asks[-1]


def _before_material(sections: list[Section], asks: set[int]) -> tuple[list[int], list[ScoredBlock]]:
    """Return the asks that only frames precede, and the unlabeled person's text before any material."""
    early: list[int] = []
    lead: list[ScoredBlock] = []
    begun = material = False
    for index, section in enumerate(sections):
        if index in asks:
            if not begun and section[0].role is PartRole.ASK:
                early.append(index)
            continue
        for one in section:
            if one.role is not PartRole.FREE or one.kind is BlockKind.MATERIAL:
                begun = material = True
            elif one.kind is not BlockKind.FRAME:
                begun = True
                if not material:
                    lead.append(one)
    return early, lead


def _says_nothing(section: Section) -> bool:
    """Return whether a section has only frames and data, such as the input of a tool."""
    return all(
        (one.kind is BlockKind.FRAME and one.score < 2 and one.size < _LONG)
        or (one.role is PartRole.ASK and one.block.look() is BlockForm.CODE)
        for one in section
    )


def _trimmed(section: Section) -> Section:
    """Return a section without frames and material at its end, or without the text that only follows the material."""
    remaining = list(section)
    for at, one in enumerate(remaining):
        if one.kind is BlockKind.MATERIAL or (
            one.kind is BlockKind.FRAME and remaining[-1].block.end - one.block.start > _MATERIAL
        ):
            if any(map(stands_alone, remaining[:at])) and not any(map(stands_alone, remaining[at:])):
                remaining = remaining[:at]
            break
    asking = any(one.score and one.content for one in section[:-1])
    while len(remaining) > 1 and (
        remaining[-1].kind is BlockKind.FRAME or (asking and remaining[-1].kind is BlockKind.MATERIAL)
    ):
        remaining.pop()
    return remaining

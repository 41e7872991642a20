"""Choose the ask among the parts of a message whose labels or tags name an ask; pure."""

from __future__ import annotations

from itertools import groupby
from operator import attrgetter

from pointsman.routing.ask.blocks import TextBlock
from pointsman.routing.ask.evidence import ASKS
from pointsman.routing.ask.forms import BlockForm
from pointsman.routing.ask.names import PartRole
from pointsman.routing.ask.scored_block import BlockKind, ScoredBlock, stands_alone

# At the end of a message, the place of an answer may have the answerer's name.
_CUE = 40

_AROUND = (BlockKind.FRAME, BlockKind.MATERIAL)
_ASKING = (PartRole.ASK, PartRole.USER)

Section = list[ScoredBlock]
"""Blocks under the same label."""


def labelled(scored: list[ScoredBlock]) -> Section | None:
    """Return the blocks under the label of the ask; None if there is none, or a person asks before all labels."""
    if not any(one.role in _ASKING for one in scored):
        return None
    sections = [list(group) for _, group in groupby(scored, attrgetter("block.section"))]
    answered = _answered(sections)
    asks = _left(_asking(sections), answered, sections)
    outside = [index for index in asks if not _label(sections[index]).inside]
    guessed = not asks or _label(sections[asks[0]]).name.rank < 0
    if guessed and len(asks) != 1:
        return None
    if (guessed or not outside) and any(one.role is PartRole.FREE and stands_alone(one) for one in scored):
        return None
    chosen = _of_several(sections, outside or asks, answered)
    return None if chosen is None else _trimmed(sections[chosen])


def _label(section: Section) -> TextBlock:
    return section[0].block


def _answered(sections: list[Section]) -> dict[int, int]:
    """Return the sections that ask and are answered, with the first answer to each."""
    answered: dict[int, int] = {}
    asked: int | None = None
    for index, section in enumerate(sections):
        if section[0].role in _ASKING:
            asked = index
        elif section[0].role is PartRole.ANSWER and asked is not None and not _is_cue(section, sections):
            answered.setdefault(asked, index)
    return answered


def _is_cue(section: Section, sections: list[Section]) -> bool:
    """Return whether a section is the place of an answer, possibly with the answerer's name."""
    return section is sections[-1] and section[-1].size <= _CUE


def _asking(sections: list[Section]) -> list[int]:
    """Return the sections that ask and say something; those with a guessed name if there are no others."""
    asks = [
        index for index, section in enumerate(sections) if section[0].role in _ASKING and not _says_nothing(section)
    ]
    return [index for index in asks if _label(sections[index]).name.rank >= 0] or asks


def _left(asks: list[int], answered: dict[int, int], sections: list[Section]) -> list[int]:
    """Return the asks that are not answered, or else the last one, without those of a low rank beside others."""
    left = [index for index in asks if index not in answered] or asks[-1:]
    min_rank = min(1, max([_label(sections[index]).name.rank for index in left], default=1))
    return [index for index in left if _label(sections[index]).name.rank >= min_rank]


def labelled_rivals(text: str, scored: list[ScoredBlock]) -> tuple[str, ...]:
    """Return the asks of a message in which a person labelled several."""
    found = [one for one in scored if one.role is PartRole.ASK and stands_alone(one)]
    if len({one.block.section for one in found}) < 2 or len({one.block.name.rank for one in found}) > 1:
        return ()
    return tuple([text[one.block.start : one.block.end].strip() for one in found])


def _of_several(sections: list[Section], asks: list[int], answered: dict[int, int]) -> int | None:
    """Return the section with the ask, or None if it is outside of all labels.

    Text before any material was written first, so the first section counts there. Else the material comes first,
    whatever labels it has, and the last section counts, unless an example shows that material follows its question.
    """
    early, lead = _before_material(sections, set(asks))
    if early:
        strong = _label(sections[early[0]]).strong
        early = [index for index in early if _label(sections[index]).strong or not strong]
        return max(early, key=lambda index: (_label(sections[index]).name.rank, -index))
    example = next((example for example, answer in answered.items() if _has_material(sections[example:answer])), None)
    if example is not None:
        return next((index for index in asks if index > example), asks[-1])
    strong = _label(sections[asks[0]]).strong
    return asks[-1] if strong or not _begins(lead, sections[: asks[0]]) else None


def _has_material(sections: list[Section]) -> bool:
    """Return whether a label names material."""
    return any(section[0].role is PartRole.OTHER for section in sections)


def _begins(lead: list[ScoredBlock], before: list[Section]) -> bool:
    """Return whether a person asks, or speaks of themselves before a label of material, and material follows."""
    if not any(one.kind is BlockKind.MATERIAL for section in before for one in section):
        return False
    min_score = 1 if _has_material(before) else ASKS
    says = sum([one.content for one in lead if one.kind is BlockKind.USER_TEXT])
    return says >= 3 and any(one.score >= min_score for one in lead)


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
            material = material or one.role is not PartRole.FREE or one.kind is BlockKind.MATERIAL
            begun = begun or material or one.kind is not BlockKind.FRAME
            if not material and one.kind is not BlockKind.FRAME:
                lead.append(one)
    return early, lead


def _says_nothing(section: Section) -> bool:
    """Return whether a section has only frames and data, such as the input of a tool."""
    return all(
        (one.kind is BlockKind.FRAME and one.score < ASKS)
        or (one.role is PartRole.ASK and one.block.look() is BlockForm.CODE)
        for one in section
    )


def _trimmed(section: Section) -> Section:
    """Return a section without frames and material at its end, or without the text that only follows the material."""
    at = next((at for at, one in enumerate(section) if one.kind in _AROUND), len(section))
    follows = any(map(stands_alone, section[:at])) and not any(map(stands_alone, section[at:]))
    remaining = section[:at] if follows else list(section)
    asking = any(map(attrgetter("score"), section[:-1]))
    left_out = _AROUND if asking else (BlockKind.FRAME,)
    while len(remaining) > 1 and remaining[-1].kind in left_out:
        remaining.pop()
    return remaining

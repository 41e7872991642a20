"""Choose what a person wrote among blocks that no label names; pure."""

from __future__ import annotations

from pointsman.routing.ask import prose
from pointsman.routing.ask.forms import Form
from pointsman.routing.ask.judged import Judged, Kind, one_language, stands_alone
from pointsman.routing.ask.names import Role

# A paragraph of this length tells a story, or is somebody else's.
_STORY = 350
# An ask behind material has no more paragraphs.
_MOST_TAIL = 4
# A longer word tells what a text is about.
_TELLING = 7
_WRITTEN = (Kind.PERSON, Kind.SMALL)


def free(text: str, judged: list[Judged]) -> list[Judged] | None:
    """Return the blocks that ask: none if no person wrote any, None if all of the text is the ask."""
    marked = any(one.role is not Role.FREE or one.block.form is Form.FILE for one in judged)
    judged = one_language(
        [one if one.role is Role.FREE or one.kind is Kind.MATERIAL else one.become(Kind.MATERIAL) for one in judged]
    )
    material = any(one.kind is Kind.MATERIAL for one in judged)
    noise = Kind.MATERIAL if material else Kind.PERSON
    judged = [one.become(noise) if one.kind is Kind.NOISE else one for one in judged]
    if judged[-1].block.look() is Form.LOG and _asks(text, judged[-1]):
        return judged[-1:]
    judged = _without_stories(text, judged)
    if all(one.kind in _WRITTEN for one in judged):
        return None
    person = [one for one in judged if one.kind is Kind.PERSON]
    best = max((one.score for one in person), default=0)
    if best < 2 and (tail := _tail(text, judged)):
        return tail
    if not person:
        # Templates set off material by two rules; without any mark, code or a document alone is the message.
        return [] if marked or any(one.block.form is Form.ENCLOSED for one in judged) else None
    if not marked and (best < 1 or sum(one.content for one in person) < 2):
        return None
    kept = _without_scraps(_best_groups(judged))
    if marked:
        return kept
    found = prose.words_in(_beginning(text, kept))
    if _is_about(found, _beginning(text, [one for one in judged if one.kind is Kind.MATERIAL])):
        return None
    if material and sum([one.content for one in kept]) < 3 and prose.points(found):
        return None  # "what is wrong with it?" asks about what stands around
    return kept


def rivals(text: str, judged: list[Judged], kept: list[Judged]) -> tuple[str, ...]:
    """Return the asks before and behind material if each could stand alone: they may be about different things."""
    taken = {one.block.start for one in kept}
    groups: list[list[Judged]] = [[]]
    for one in judged:
        if one.block.start in taken:
            groups[-1].append(one)
        elif one.kind is Kind.MATERIAL and groups[-1]:
            groups.append([])
    groups = [group for group in groups if group]
    if len(groups) < 2 or not all(any(map(stands_alone, group)) for group in groups):
        return ()
    pieces = [text[group[0].block.start : group[-1].block.end].strip() for group in groups]
    repeated = any(pieces[0] in piece for piece in pieces[1:])
    return () if repeated or any(map(_points, pieces)) else tuple(pieces)


def _points(piece: str) -> bool:
    return prose.points(prose.words_in(piece))


def _beginning(text: str, blocks: list[Judged]) -> str:
    """Return so much of blocks as words are looked for in."""
    pieces: list[str] = []
    room = prose.LONGEST
    for one in blocks:
        pieces.append(text[one.block.start : one.block.end][:room])
        room -= len(pieces[-1]) + 1
        if room <= 0:
            break
    return " ".join(pieces)


def _is_about(ask: prose.Words, material: str) -> bool:
    """Return whether an ask names what the material begins with, which then is the person's own."""
    known = prose.content_words(ask) & prose.words_in(material).known
    return any(len(word) > _TELLING for word in known) or len(known) > 2


def _without_stories(text: str, judged: list[Judged]) -> list[Judged]:
    """Return long paragraphs as material beside a short question at an end that needs none of them."""
    for one in (judged[0], judged[-1]):
        if one.kind is not Kind.PERSON or one.score < 2 or one.content < 3 or one.size >= _STORY:
            continue
        found = prose.words_in(text[one.block.start : one.block.end])
        if not prose.points(found) and not prose.refers(found):
            return [
                other.become(Kind.MATERIAL)
                if other.kind is Kind.PERSON and other.size > _STORY and other.score < 2
                else other
                for other in judged
            ]
    return judged


def _best_groups(judged: list[Judged]) -> list[Judged]:
    """Return the runs of what a person wrote that ask most, of those at the ends of the message if these ask."""
    groups: list[list[Judged]] = [[]]
    between: list[bool] = []
    material = False
    for one in judged:
        if one.kind in _WRITTEN:
            groups[-1].append(one)
            continue
        if groups[-1]:
            groups.append([])
            between.append(material)
        material = material or one.kind is Kind.MATERIAL
    between.append(False)
    ends = [group for group, inside in zip(groups, between, strict=True) if not inside and _score(group) >= 1]
    if _content(ends) >= 2:
        groups = ends
    groups = [group for group in groups if any(one.kind is Kind.PERSON for one in group)]
    least = min(2, max(_score(group) for group in groups))
    asking = [group for group in groups if _score(group) >= least]
    if _content(asking) >= 3:
        groups = asking
    return [one for group in groups for one in group]


def _without_scraps(kept: list[Judged]) -> list[Judged]:
    """Return the blocks without short ones that say nothing, such as "Ok, here we go:"."""
    if not any(one.score >= 2 and one.content >= 2 for one in kept):
        return kept
    following = [*kept[1:], None]
    return [
        one
        for one, after in zip(kept, following, strict=True)
        if one.kind is not Kind.PERSON or one.score >= 2 or one.content >= 2 or (after and after.kind is Kind.SMALL)
    ]


def _score(group: list[Judged]) -> int:
    return max((one.score for one in group if one.kind is Kind.PERSON), default=0)


def _content(groups: list[list[Judged]]) -> int:
    return sum(one.content for group in groups for one in group)


def _tail(text: str, judged: list[Judged]) -> list[Judged]:
    """Return the last few paragraphs under a label of material from the last on that asks: they may be none of it."""
    for place in range(1, min(_MOST_TAIL, len(judged)) + 1):
        one = judged[-place]
        if one.size > _STORY or one.block.section != judged[-1].block.section:
            break
        if _asks(text, one):
            return judged[-place:]
    return []


def _asks(text: str, last: Judged) -> bool:
    """Return whether the last paragraph, or the last line of a log of a chat, asks."""
    piece = said(text, last)
    form = last.block.look()
    if form not in (Form.PROSE, Form.LOG) or not piece:
        return False
    found = prose.words_in(piece)
    least = 1 if form is Form.LOG else 2
    return prose.asks(piece, found) >= least and not prose.is_frame(piece, found)


def said(text: str, one: Judged) -> str:
    """Return the text of a block; of a log of a chat, what its last line says."""
    piece = text[one.block.start : one.block.end].strip()
    if one.block.look() is Form.LOG:
        return piece.rpartition("\n")[2].partition("] ")[2].partition(": ")[2]
    return piece

"""Choose the person's own words among blocks without labels; pure."""

from __future__ import annotations

from itertools import groupby, pairwise

from pointsman.routing.ask import prose
from pointsman.routing.ask.forms import BlockForm
from pointsman.routing.ask.labels import RULE
from pointsman.routing.ask.names import PartRole
from pointsman.routing.ask.scored_block import BlockKind, ScoredBlock, as_written, leads_on, one_language, stands_alone

# A paragraph of this length tells a story, or was written by somebody else.
_STORY = 350
# An ask after material has no more paragraphs.
_MAX_TAIL_PARAGRAPHS = 4
# A frame that says more contains the ask, if nothing else does.
_FRAMED = 5
# A longer word tells a text's subject.
_TELLING = 7
_ENDS, _BULLETS = (".", "!", "?"), ("- ", "* ", "• ", "1. ")
# A person introduces their own code with these; "we" and "our" occur in documents as well.
_SELF = frozenset(["i", "i'm", "i've", "im", "ive"])
# Logs of chats, and lines such as "Ann: hello".
_CHATS = (BlockForm.LOG, BlockForm.KEYS)
_WRITTEN = frozenset([BlockKind.USER_TEXT, BlockKind.SMALL])


def free(text: str, scored: list[ScoredBlock]) -> list[ScoredBlock] | None:
    """Return the blocks that ask: none if no person wrote any, None if all of the text is the ask."""
    marked = any(one.role is not PartRole.FREE or one.block.form is BlockForm.FILE for one in scored)
    scored = one_language(
        [
            one if one.role is PartRole.FREE or one.kind is BlockKind.MATERIAL else one.become(BlockKind.MATERIAL)
            for one in scored
        ]
    )
    material = BlockKind.MATERIAL in [one.kind for one in scored]
    noise = BlockKind.MATERIAL if material else BlockKind.USER_TEXT
    scored = [one.become(noise) if one.kind is BlockKind.NOISE else one for one in scored]
    if scored[-1].block.look() in _CHATS and _asks(text, scored[-1]):
        return scored[-1:]
    scored = _without_stories(text, _without_leads(text, scored))
    if _WRITTEN.issuperset([one.kind for one in scored]):
        return None
    best = max((one.score for one in scored if one.kind is BlockKind.USER_TEXT), default=0)
    if best < 2:
        scored = [
            one.become(BlockKind.USER_TEXT) if one.kind is BlockKind.FRAME and one.content > _FRAMED else one
            for one in scored
        ]
    person = [one for one in scored if one.kind is BlockKind.USER_TEXT]
    best = max((one.score for one in person), default=0)
    if best < 2 and (tail := _tail(text, scored)):
        return tail
    if not person:
        # A harness writes frames around fences; without any mark, code or a document alone is the message.
        forms = {one.block.look() for one in scored if one.kind is not BlockKind.FRAME}
        framed = forms == {BlockForm.FENCE} and any(one.kind is BlockKind.FRAME for one in scored)
        return [] if marked or framed or BlockForm.ENCLOSED in forms else None
    if not marked and (best < 1 or sum(one.content for one in person) < 2):
        return None
    selected = _without_scraps(_best_groups(scored))
    if marked:
        return selected
    found = prose.words_in(_beginning(text, selected))
    if _is_about(found, _beginning(text, [one for one in scored if one.kind is BlockKind.MATERIAL])):
        return None
    if material and sum([one.content for one in selected]) < 3 and prose.points(found):
        return None  # "what is wrong with it?" asks about the text around
    return selected


def rivals(text: str, scored: list[ScoredBlock], selected: list[ScoredBlock]) -> tuple[str, ...]:
    """Return the asks before and after material if each could stand alone: they may be about different things."""
    taken = {one.block.start for one in selected}
    groups: list[list[ScoredBlock]] = [[]]
    for one in scored:
        if one.block.start in taken:
            groups[-1].append(one)
        elif one.kind is BlockKind.MATERIAL and groups[-1]:
            groups.append([])
    groups = [group for group in groups if group]
    if len(groups) < 2 or not all(any(map(stands_alone, group)) for group in groups):
        return ()
    pieces = [text[group[0].block.start : group[-1].block.end].strip() for group in groups]
    repeated = any(pieces[0] in piece for piece in pieces[1:])
    return () if repeated or any(map(_points, pieces)) else tuple(pieces)


def _points(piece: str) -> bool:
    return prose.points(prose.words_in(piece))


def _beginning(text: str, blocks: list[ScoredBlock]) -> str:
    """Return the beginning of blocks in which words are searched for."""
    return " ".join([text[one.block.start : one.block.end][: prose.MAX_END_CHARACTERS] for one in blocks])


def _is_about(ask: prose.WordList, material: str) -> bool:
    """Return whether an ask names the first words of the material, which is then the person's own."""
    known = prose.content_words(ask) & prose.words_in(material).known
    return any(len(word) > _TELLING for word in known) or len(known) > 2


def _without_leads(text: str, scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return paragraphs that introduce the material below, such as "My code so far:", as frames if others ask."""
    asked = any(one.kind is BlockKind.USER_TEXT and one.score >= 2 for one in scored)
    found = list(scored)
    for index, (one, after) in enumerate(pairwise(scored)):
        if one.kind is BlockKind.USER_TEXT and after.kind is BlockKind.MATERIAL and one.score < 1 + asked:
            found[index] = one.become(BlockKind.FRAME) if leads_on(text, one) else one
    return found


def _without_stories(text: str, scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return long paragraphs as material if a short question at an end needs none of them."""
    for one, neighbors in ((scored[0], scored[1:2]), (scored[-1], scored[-2:-1])):
        if one.kind is not BlockKind.USER_TEXT or one.score < 2 or one.content < 3 or one.size >= _STORY:
            continue
        ruled = any(_is_ruled(text, one, other) for other in neighbors)
        if ruled or not (prose.points(one.words) or prose.refers(one.words)):
            statements = [other for other in scored if other.kind is BlockKind.USER_TEXT and other.score < 2]
            min_size = 0 if ruled or sum([other.size for other in statements]) > 2 * _STORY else _STORY
            stories = {other.block.start for other in statements if other.size > min_size}
            return [other.become(BlockKind.MATERIAL) if other.block.start in stories else other for other in scored]
    return scored


def _is_ruled(text: str, one: ScoredBlock, other: ScoredBlock) -> bool:
    """Return whether a line such as `---`, or the end of a part of the message, is between two paragraphs."""
    first, last = sorted((one.block, other.block), key=lambda block: block.start)
    return first.section != last.section or any(
        RULE.match(line.strip()) for line in text[first.end : last.start].split("\n")
    )


def _best_groups(scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return those runs of the person's words at the ends of the message that ask most, if they ask."""
    groups = [list(group) for written, group in groupby(scored, key=lambda one: one.kind in _WRITTEN) if written]
    if len(groups) == 1:
        return groups[0]
    material = [one.block.start for one in scored if one.kind is BlockKind.MATERIAL]
    ends = [
        group
        for group in groups
        if _score(group) >= 1 and not (material and material[0] < group[0].block.start < material[-1])
    ]
    if _content(ends) >= 2:
        groups = ends
    groups = [group for group in groups if any(one.kind is BlockKind.USER_TEXT for one in group)]
    min_score = min(2, max(_score(group) for group in groups))
    asking = [group for group in groups if _score(group) >= min_score]
    if _content(asking) >= 3:
        groups = asking
    return [one for group in groups for one in group]


def _without_scraps(selected: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return the blocks without short ones that say nothing, such as "Ok, here we go:"."""
    if not any(one.score >= 2 and one.content >= 2 for one in selected):
        return selected
    following = [*selected[1:], None]
    return [
        one
        for one, after in zip(selected, following, strict=True)
        if one.kind is not BlockKind.USER_TEXT
        or one.score >= 2
        or one.content >= 2
        or (after and after.kind is BlockKind.SMALL)
    ]


def _score(group: list[ScoredBlock]) -> int:
    return max((one.score for one in group if one.kind is BlockKind.USER_TEXT), default=0)


def _content(groups: list[list[ScoredBlock]]) -> int:
    return sum(one.content for group in groups for one in group)


def _tail(text: str, scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return the last few paragraphs under a label of material, from one that asks: they may not be material."""
    for distance in range(1, min(_MAX_TAIL_PARAGRAPHS, len(scored)) + 1):
        one = scored[-distance]
        if one.size > _STORY or one.block.section != scored[-1].block.section:
            break
        if _asks(text, one):
            return _led(text, scored, distance) or scored[-distance:]
    return []


def _led(text: str, scored: list[ScoredBlock], asked: int) -> list[ScoredBlock]:
    """Return the last paragraphs from one such as "I have this query:" and its code on, or none."""
    for distance in range(asked + 1, min(_MAX_TAIL_PARAGRAPHS, len(scored)) + 1):
        one = scored[-distance]
        if one.block.section != scored[-1].block.section:
            break
        lead, below = (text[each.block.start : each.block.end].strip() for each in (one, scored[1 - distance]))
        mine = lead.endswith(":") and ". " not in lead and not _SELF.isdisjoint(prose.words_in(lead).listed[:1])
        if mine and not below.endswith(_ENDS) and not below.startswith(_BULLETS):
            return [as_written(text, written) for written in scored[-distance:]]
    return []


def _asks(text: str, last: ScoredBlock) -> bool:
    """Return whether the last paragraph, or the last line of a log of a chat, asks."""
    piece = said(text, last)
    form = last.block.look()
    if (form is not BlockForm.PROSE and form not in _CHATS) or not piece:
        return False
    found = prose.words_in(piece)
    min_score = 2 if form is BlockForm.PROSE else 1
    return prose.asks(piece, found) >= min_score and not prose.is_frame(piece, found)


def said(text: str, one: ScoredBlock) -> str:
    """Return the text of a block; of a log of a chat, the text of its last line."""
    piece = text[one.block.start : one.block.end].strip()
    form = one.block.look()
    if form not in _CHATS:
        return piece
    last = piece.rpartition("\n")[2]
    return (last if form is BlockForm.KEYS else last.partition("] ")[2]).partition(": ")[2]

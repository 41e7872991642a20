"""Choose the person's own words among blocks without labels; pure."""

from __future__ import annotations

from itertools import groupby, pairwise

from pointsman.routing.ask import prose
from pointsman.routing.ask.evidence import ASKS
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
# A person introduces their own code with these; "we" and "our" occur in documents as well.
_SELF = frozenset(["i", "i'm", "i've", "im", "ive"])
# Logs of chats, and lines such as "Ann: hello".
_CHATS = (BlockForm.LOG, BlockForm.KEYS)
_WRITTEN = frozenset([BlockKind.USER_TEXT, BlockKind.SMALL])


def free(text: str, scored: list[ScoredBlock]) -> list[ScoredBlock] | None:
    """Return the blocks that ask: none if no person wrote any, None if all of the text is the ask."""
    marked = any(one.role is not PartRole.FREE or one.block.form is BlockForm.FILE for one in scored)
    scored = _without_noise(one_language([_without_label(one) for one in scored]))
    if scored[-1].block.look() in _CHATS and _asks(text, scored[-1]):
        return scored[-1:]
    scored = _without_stories(text, _without_leads(text, scored))
    if _WRITTEN.issuperset([one.kind for one in scored]):
        return None
    scored = _with_long_frames(scored)
    person = _of_kind(scored, BlockKind.USER_TEXT)
    best = _score(person)
    if best < ASKS and (tail := _tail(text, scored)):
        return tail
    if not person:
        return [] if marked or _is_framed(scored) else None
    if not marked and (best < 1 or _content(person) < 2):
        return None
    selected = _without_scraps(_best_groups(scored))
    return None if not marked and _belongs_to_material(text, selected, scored) else selected


def _without_label(one: ScoredBlock) -> ScoredBlock:
    """Return what stands under a label as material."""
    return one if one.role is PartRole.FREE or one.kind is BlockKind.MATERIAL else one.become(BlockKind.MATERIAL)


def _without_noise(scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return words without a sentence as material if there is some, and else as a person's."""
    kind = BlockKind.MATERIAL if _of_kind(scored, BlockKind.MATERIAL) else BlockKind.USER_TEXT
    return [one.become(kind) if one.kind is BlockKind.NOISE else one for one in scored]


def _with_long_frames(scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return frames that say more than a frame as a person's words, if nothing else asks."""
    if _score(_of_kind(scored, BlockKind.USER_TEXT)) >= ASKS:
        return scored
    return [
        one.become(BlockKind.USER_TEXT) if one.kind is BlockKind.FRAME and one.content > _FRAMED else one
        for one in scored
    ]


def _is_framed(scored: list[ScoredBlock]) -> bool:
    """Return whether a harness wrote all of a message: it writes frames around fences, and rules around prose.

    Without any mark, code or a document alone is the message.
    """
    forms = {one.block.look() for one in scored if one.kind is not BlockKind.FRAME}
    framed = forms == {BlockForm.FENCE} and bool(_of_kind(scored, BlockKind.FRAME))
    return framed or BlockForm.ENCLOSED in forms


def _belongs_to_material(text: str, selected: list[ScoredBlock], scored: list[ScoredBlock]) -> bool:
    """Return whether an ask names its material, or asks about the text around: "what is wrong with it?"."""
    found = prose.words_in(_beginning(text, selected))
    material = _of_kind(scored, BlockKind.MATERIAL)
    if _is_about(found, _beginning(text, material)):
        return True
    return bool(material) and _content(selected) < 3 and prose.points(found)


def _of_kind(scored: list[ScoredBlock], kind: BlockKind) -> list[ScoredBlock]:
    return [one for one in scored if one.kind is kind]


def rivals(text: str, scored: list[ScoredBlock], selected: list[ScoredBlock]) -> tuple[str, ...]:
    """Return the asks before and after material if each could stand alone: they may be about different things."""
    taken = {one.block.start for one in selected}
    shown = [one for one in scored if one.block.start in taken or one.kind is BlockKind.MATERIAL]
    groups = [list(group) for said, group in groupby(shown, key=lambda one: one.block.start in taken) if said]
    if len(groups) < 2 or not all(any(map(stands_alone, group)) for group in groups):
        return ()
    pieces = [text[group[0].block.start : group[-1].block.end].strip() for group in groups]
    return () if any(map(_points, pieces)) else tuple(pieces)


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
    asked = _score(scored) >= ASKS
    found = list(scored)
    for index, (one, after) in enumerate(pairwise(scored)):
        if one.kind is BlockKind.USER_TEXT and after.kind is BlockKind.MATERIAL and one.score < 1 + asked:
            found[index] = one.become(BlockKind.FRAME) if leads_on(text, one) else one
    return found


def _without_stories(text: str, scored: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return long paragraphs as material if a short question at an end needs none of them."""
    for one, neighbors in ((scored[0], scored[1:2]), (scored[-1], scored[-2:-1])):
        if not stands_alone(one) or one.content < 3 or one.size >= _STORY:
            continue
        ruled = any(_is_ruled(text, one, other) for other in neighbors)
        if ruled or not prose.refers(one.words):
            return _stories_as_material(scored, ruled=ruled)
    return scored


def _stories_as_material(scored: list[ScoredBlock], *, ruled: bool) -> list[ScoredBlock]:
    """Return statements as material: all if a rule sets the question off or they are long together, else long ones."""
    statements = [one for one in _of_kind(scored, BlockKind.USER_TEXT) if one.score < ASKS]
    min_size = 0 if ruled or sum([one.size for one in statements]) > 2 * _STORY else _STORY
    return _as_material(scored, [one for one in statements if one.size > min_size])


def _as_material(scored: list[ScoredBlock], stories: list[ScoredBlock]) -> list[ScoredBlock]:
    starts = {one.block.start for one in stories}
    return [one.become(BlockKind.MATERIAL) if one.block.start in starts else one for one in scored]


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
    material = _of_kind(scored, BlockKind.MATERIAL)
    ends = [group for group in groups if _score(group) >= 1 and not _is_between(group, material)]
    return _that_ask_most(ends if _content(_joined(ends)) >= 2 else groups)


def _that_ask_most(groups: list[list[ScoredBlock]]) -> list[ScoredBlock]:
    groups = [group for group in groups if _of_kind(group, BlockKind.USER_TEXT)]
    min_score = min(ASKS, max(map(_score, groups)))
    asking = _joined([group for group in groups if _score(group) >= min_score])
    return asking if _content(asking) >= 3 else _joined(groups)


def _is_between(group: list[ScoredBlock], material: list[ScoredBlock]) -> bool:
    return bool(material) and material[0].block.start < group[0].block.start < material[-1].block.start


def _without_scraps(selected: list[ScoredBlock]) -> list[ScoredBlock]:
    """Return the blocks without short ones that say nothing, such as "Ok, here we go:"."""
    if not any(one.score >= ASKS and one.content >= 2 for one in selected):
        return selected
    following = [*selected[1:], None]
    return [one for one, after in zip(selected, following, strict=True) if not _is_scrap(one, after)]


def _is_scrap(one: ScoredBlock, after: ScoredBlock | None) -> bool:
    """Return whether a block says nothing, and does not lead to a few lines of code."""
    if one.kind is not BlockKind.USER_TEXT or one.score >= ASKS or one.content >= 2:
        return False
    return after is None or after.kind is not BlockKind.SMALL


def _score(blocks: list[ScoredBlock]) -> int:
    return max((one.score for one in blocks if one.kind is BlockKind.USER_TEXT), default=0)


def _content(blocks: list[ScoredBlock]) -> int:
    return sum([one.content for one in blocks])


def _joined(groups: list[list[ScoredBlock]]) -> list[ScoredBlock]:
    return [one for group in groups for one in group]


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
        lead = text[one.block.start : one.block.end].strip()
        if _introduces(lead):
            return [as_written(text, written) for written in scored[-distance:]]
    return []


def _introduces(lead: str) -> bool:
    """Return whether a person introduces their own code: "I have this query:"."""
    return lead.endswith(":") and not _SELF.isdisjoint(prose.words_in(lead).listed[:1])


def _asks(text: str, last: ScoredBlock) -> bool:
    """Return whether the last paragraph, or the last line of a log of a chat, asks."""
    piece = said(text, last)
    form = last.block.look()
    if form is not BlockForm.PROSE and form not in _CHATS:
        return False
    found = prose.words_in(piece)
    min_score = ASKS if form is BlockForm.PROSE else 1
    return prose.asks(piece, found) >= min_score and not prose.is_frame(piece, found)


def said(text: str, one: ScoredBlock) -> str:
    """Return the text of a block; of a log of a chat, the text of its last line."""
    piece = text[one.block.start : one.block.end].strip()
    form = one.block.look()
    if form not in _CHATS:
        return piece
    last = piece.rpartition("\n")[2]
    return (last if form is BlockForm.KEYS else last.partition("] ")[2]).partition(": ")[2]

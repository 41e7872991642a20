"""Change texts to what users send: mistyped, polite, in a chat, after earlier turns, in a wrapper, beside material.

Upper and lower case are left alone, since the tokenizer folds them. The phrases are in `texts/chat.txt` and
`texts/wrappers.txt`.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.data import SMALL_TALK, Row
from training.sections import sections
from training.snippets import SNIPPETS

_CODE, _CHAT, _TURNS, _WRAPPED, _MATERIAL = 0.15, 0.08, 0.06, 0.12, 0.10
"""Shares of the texts that get each change; code only stands beside computing questions."""

_OWN_MATERIAL = 0.5
"""Share of the material that is about the question's own subject."""

_MATERIAL_CHARS, _QUESTION_CHARS = (100, 500), 300
"""Lengths of material, and of the longest text that gets some: both must fit the tokens that training reads."""

_CHAT_WORDS = sections("chat.txt")
_WRAPPERS = {name: [line.replace("\\n", "\n") for line in lines] for name, lines in sections("wrappers.txt").items()}


@dataclass(frozen=True, slots=True)
class Pool:
    """Texts of other rows: by label, and small talk, which has no subject."""

    by_label: Mapping[str, Sequence[str]]
    small_talk: Sequence[str]


def pool(rows: Sequence[Row]) -> Pool:
    """Collect the texts of `rows` for `augment` to draw from."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_label[row.label].append(row.text)
    return Pool(by_label, [row.text for row in rows if row.source == SMALL_TALK])


def augment(row: Row, pool: Pool, rng: random.Random) -> str:
    """Return the text of `row`, retyped, and perhaps with what chats and programs put around it."""
    text = retype(row.text, rng)
    if row.label == "computer science" and rng.random() < _CODE:
        text = _beside_code(text, rng)
    chance = rng.random()
    if chance < _CHAT:
        return _in_chat(text, pool.small_talk, rng)
    if len(text) > _QUESTION_CHARS:
        return text
    if (chance := chance - _CHAT) < _TURNS:
        return _after_turns(text, pool.by_label[row.label], rng)
    if (chance := chance - _TURNS) < _WRAPPED:
        return rng.choice(_WRAPPERS["ask"]).replace("{ask}", text)
    if chance - _WRAPPED < _MATERIAL:
        label = row.label if rng.random() < _OWN_MATERIAL else rng.choice(sorted(pool.by_label))
        wrapper = rng.choice(_WRAPPERS["material"])
        return wrapper.replace("{material}", _passage(pool.by_label[label], rng)).replace("{ask}", text)
    return text


def retype(text: str, rng: random.Random) -> str:
    """Return `text` as a user might type it: perhaps without its final mark, with a typo, a greeting, or thanks."""
    if rng.random() < 0.15:
        text = _mistype(text, rng)
    if rng.random() < 0.3:
        text = text.rstrip(" ?.:")
    if rng.random() < 0.15:
        text = f"{rng.choice(_CHAT_WORDS['greeting'])} {text}"
    if rng.random() < 0.07:
        text = f"{text} {rng.choice(_CHAT_WORDS['thanks'])}"
    return text


def _mistype(text: str, rng: random.Random) -> str:
    """Swap two neighbouring letters, or lose or double one."""
    i = rng.randrange(max(1, len(text) - 1))
    pair = text[i : i + 2]
    if not pair.isalpha():
        return text
    return text[:i] + rng.choice((pair[::-1], pair[0], pair[0] + pair)) + text[i + 2 :]


def _in_chat(text: str, small_talk: Sequence[str], rng: random.Random) -> str:
    if small_talk and rng.random() < 0.3:
        return f"{rng.choice(small_talk)}\n{text}"
    if rng.random() < 0.25:
        return f"{text} {rng.choice(_CHAT_WORDS['after'])}"
    return f"{rng.choice(_CHAT_WORDS['before'])} {text}"


def _after_turns(text: str, same: Sequence[str], rng: random.Random) -> str:
    """Return a turn with earlier ones below it, newest first, as the service reads a conversation."""
    earlier = [one for one in rng.choices(same, k=rng.randint(1, 2)) if len(one) <= _QUESTION_CHARS]
    first = [rng.choice(_CHAT_WORDS["follow_up"])] if rng.random() < 0.6 else []
    return "\n".join([*first, text, *earlier])


def _beside_code(text: str, rng: random.Random) -> str:
    snippet = rng.choice(SNIPPETS)
    return f"{text}\n\n{snippet}" if rng.random() < 0.6 else f"{snippet}\n\n{text}"


def _passage(texts: Sequence[str], rng: random.Random) -> str:
    """Join some of `texts`, cut at a word."""
    length, passage = rng.randint(*_MATERIAL_CHARS), rng.choice(texts)
    while len(passage) < length:
        passage += " " + rng.choice(texts)
    return passage[: passage.rfind(" ", 0, length) if " " in passage[:length] else length]

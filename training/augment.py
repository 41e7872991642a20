"""Change texts to the forms that users send: mistyped, polite, in a chat, after earlier turns, wrapped, with material.

Upper and lower case are left alone, since the tokenizer folds them. The phrases are in `texts/chat.txt`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from training.data import TrainingText
from training.sections import sections
from training.snippets import SNIPPETS
from training.wrap import QUESTION_CHARACTERS, TASKS, Pool, fill_task, with_material, wrap

_CODE, _CHAT, _TURNS, _WRAPPED, _MATERIAL = 0.15, 0.08, 0.06, 0.14, 0.20
"""Shares of the texts that get each change; code is only added to computing questions."""

_CHAT_WORDS = sections("chat.txt")


def augment(row: TrainingText, pool: Pool, rng: random.Random) -> str:
    """Return the text of `row`, retyped, and perhaps with what chats and programs put around it."""
    if row.source == TASKS:
        return fill_task(row.text, pool, rng)
    text = retype(row.text, rng)
    if row.label == "computer science" and rng.random() < _CODE:
        text = _with_code(text, rng)
    chance = rng.random()
    if chance < _CHAT:
        return _in_chat(text, pool.small_talk, rng)
    if len(text) > QUESTION_CHARACTERS:
        return text
    if (chance := chance - _CHAT) < _TURNS:
        return _after_turns(text, pool.by_label[row.label], rng)
    if (chance := chance - _TURNS) < _WRAPPED:
        return wrap(text, rng)
    if chance - _WRAPPED < _MATERIAL:
        return with_material(text, row.label, pool, rng)
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
    earlier = [one for one in rng.choices(same, k=rng.randint(1, 2)) if len(one) <= QUESTION_CHARACTERS]
    first = [rng.choice(_CHAT_WORDS["follow_up"])] if rng.random() < 0.6 else []
    return "\n".join([*first, text, *earlier])


def _with_code(text: str, rng: random.Random) -> str:
    snippet = rng.choice(SNIPPETS)
    return f"{text}\n\n{snippet}" if rng.random() < 0.6 else f"{snippet}\n\n{text}"

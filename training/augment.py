"""Change texts to what users send: mistyped, polite, in the middle of a chat, below a long passage, beside code.

Upper and lower case are left alone, since the tokenizer folds them.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.data import Row
from training.snippets import SNIPPETS

_CHAT_SHARE, _LONG_SHARE, _CODE_SHARE = 0.08, 0.05, 0.15
_PASSAGE_CHARS, _QUESTION_CHARS = (200, 600), 300
"""Lengths of a passage, and of the longest text that gets one: both must fit the tokens that training reads."""

_POLITE = (
    "hi, ", "hello, ", "hey, ", "please ", "can you help me? ", "quick question: ", "hi, can you explain: ",
    "i need some help. ", "could you tell me, ", "i was wondering: ", "please answer this question. ",
)  # fmt: skip
_THANKS = (" thanks", " thank you!", " please explain", " please help", " explain step by step", " be brief")

_CHAT_BEFORE = (
    "thanks, that helped. another thing: ", "ok, got it. next question: ", "great, that worked! now, ",
    "sorry, that is not what I meant. let me ask differently: ", "hmm, interesting. and ", "perfect. one more: ",
    "you misunderstood me. ", "wait, forget that. ", "ok thanks. also: ", "yes, exactly. so ", "no, I mean: ",
    "that was too long, keep it short this time. ", "good answer! moving on: ", "back to my earlier question. ",
    "can we change the topic? ", "I asked this before but lost the chat. ", "right. just to be sure: ",
    "hello again! last time you were a great help. today: ", "never mind the last message. ", "thx!! ",
)  # fmt: skip
_CHAT_AFTER = (
    "\n\nif you are not sure, say so.", " (same format as before please)", "\n\nanswer like you did last time",
    " my last chat about this got cut off.", "\nlet me know if you need more details", " and thanks for earlier!",
    "\n\nI'll have a follow-up after this one.", " sorry for asking so much today", "\nsent from my phone",
)  # fmt: skip
_ASK = ("\n\n", "\n\nQuestion: ", "\n\n---\n", "\n\nMy question: ", "\n\nWith that in mind: ", "\nso: ")


@dataclass(frozen=True, slots=True)
class Pool:
    """Texts of other rows: by label, and small talk, which has no subject."""

    by_label: Mapping[str, Sequence[str]]
    small_talk: Sequence[str]


def pool(rows: Sequence[Row]) -> Pool:
    """Collect the texts of `rows` for `augment` to draw from."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        by_label[row.known_label].append(row.text)
    return Pool(by_label, [row.text for row in rows if row.source == "clinc-smalltalk"])


def augment(row: Row, pool: Pool, rng: random.Random) -> str:
    """Return the text of `row`, retyped, and perhaps with a chat turn, code or a passage of its subject around it."""
    text = retype(row.text, rng)
    if row.known_label == "computer science" and rng.random() < _CODE_SHARE:
        text = _beside_code(text, rng)
    if rng.random() < _CHAT_SHARE:
        text = _in_chat(text, pool.small_talk, rng)
    others = pool.by_label.get(row.known_label) if row.known_label else None
    if others and len(text) <= _QUESTION_CHARS and rng.random() < _LONG_SHARE:
        text = _passage(others, rng) + rng.choice(_ASK) + text
    return text


def retype(text: str, rng: random.Random) -> str:
    """Return `text` as a user might type it: perhaps without its final mark, with a typo, a greeting, or thanks."""
    if rng.random() < 0.15:
        text = _mistype(text, rng)
    if rng.random() < 0.3:
        text = text.rstrip(" ?.:")
    if rng.random() < 0.15:
        text = rng.choice(_POLITE) + text
    if rng.random() < 0.07:
        text += rng.choice(_THANKS)
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
        return text + rng.choice(_CHAT_AFTER)
    return rng.choice(_CHAT_BEFORE) + text


def _beside_code(text: str, rng: random.Random) -> str:
    snippet = rng.choice(SNIPPETS)
    return f"{text}\n\n{snippet}" if rng.random() < 0.6 else f"{snippet}\n\n{text}"


def _passage(texts: Sequence[str], rng: random.Random) -> str:
    """Join some of `texts`, cut at a word."""
    length, passage = rng.randint(*_PASSAGE_CHARS), rng.choice(texts)
    while len(passage) < length:
        passage += " " + rng.choice(texts)
    return passage[: passage.rfind(" ", 0, length) if " " in passage[:length] else length]

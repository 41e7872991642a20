"""Put a question into the texts of programs, alone or next to material, and fill in the programs' own requests.

The templates are in `texts/wrappers.txt` and `texts/tasks.txt`, the passages of material in `texts/material.txt`.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from training.data import SMALL_TALK, TrainingText
from training.sections import sections

TASKS = "pointsman-tasks"
"""The source of templates: what programs ask for on their own, and what persons want done with a text."""

QUESTION_CHARACTERS = 300
"""Longest text that is put next to another: both must fit the tokens that training reads."""

_MATERIAL_CHARACTERS = (100, 700)
"""Lengths of the material in one text."""

_OWN_MATERIAL, _WRITTEN = 0.5, 0.75
"""Shares of the material that is about the question's own subject, and that was written as such: the rest is rows."""


def lines(name: str) -> dict[str, list[str]]:
    """Return the items of each section of a file in which a line break is written as \\n."""
    return {kind: [one.replace("\\n", "\n") for one in items] for kind, items in sections(name).items()}


_WRAPPERS = lines("wrappers.txt")
_PASSAGES = lines("material.txt")


@dataclass(frozen=True, slots=True)
class Pool:
    """Texts of other rows: by label, and small talk, which has no subject."""

    by_label: Mapping[str, Sequence[str]]
    small_talk: Sequence[str]


def pool(rows: Sequence[TrainingText]) -> Pool:
    """Collect the texts of `rows` to draw from."""
    by_label: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row.source != TASKS:
            by_label[row.label].append(row.text)
    return Pool(by_label, [row.text for row in rows if row.source == SMALL_TALK])


def wrap(text: str, rng: random.Random) -> str:
    """Return `text` in what a program puts around a question."""
    return rng.choice(_WRAPPERS["ask"]).replace("{ask}", text)


def with_material(text: str, label: str, pool: Pool, rng: random.Random) -> str:
    """Return `text` next to material, which may claim to be the question, of its own subject or of another."""
    kind = "speaks" if rng.random() < 0.2 else "material"
    subject = label if rng.random() < _OWN_MATERIAL else rng.choice(sorted(pool.by_label))
    return _fill(rng.choice(_WRAPPERS[kind]), text, subject, pool, rng)


def fill_task(template: str, pool: Pool, rng: random.Random) -> str:
    """Return `template` with a question and with material of any subject in it."""
    subject = rng.choice(sorted(pool.by_label))
    short = [text for text in rng.choices(pool.by_label[subject], k=8) if len(text) <= QUESTION_CHARACTERS]
    return _fill(template, short[0] if short else "", subject, pool, rng)


def _fill(template: str, text: str, subject: str, pool: Pool, rng: random.Random) -> str:
    chars = rng.randint(*_MATERIAL_CHARACTERS) // max(1, template.count("{material}"))

    def filled(found: re.Match[str]) -> str:
        return text if found[1] == "ask" else _passage(subject, pool, chars, rng)

    return re.sub(r"\{(ask|material)\}", filled, template)


def _passage(subject: str, pool: Pool, chars: int, rng: random.Random) -> str:
    """Return material about `subject` of at most `chars` characters, cut at a word."""
    written = _PASSAGES.get(subject, [])
    source = written if written and rng.random() < _WRITTEN else pool.by_label[subject]
    passage = rng.choice(source)
    while len(passage) < chars:
        passage += (" " if source is not written else "\n\n") + rng.choice(source)
    return passage[: passage.rfind(" ", 0, chars) if " " in passage[:chars] else chars]

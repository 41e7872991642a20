"""The training data: reading, splitting, augmenting and batching it."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pointsman_export.prompts import user_prompts

LABELS = (
    "biology",
    "business",
    "chemistry",
    "computer science",
    "economics",
    "engineering",
    "health",
    "history",
    "law",
    "math",
    "other",
    "philosophy",
    "physics",
    "psychology",
)
"""MMLU-Pro's categories; their order is the order of the logits."""

DEV_GROUPS = {
    "computer science": "technical",
    "engineering": "technical",
    "health": "medical",
    "law": "legal",
}
"""The groups of `dev_user_prompts`; every other label is `general`."""

NEVER_TRAINED_ON = ("Explain async/await in JavaScript", "What causes high blood pressure?")
"""The questions that the guide shows; they stay out of the training so that they test it."""

EXAMS = frozenset({"mmlu", "mmlu-pro"})
"""Sources that are exam questions; the others hold what users write."""

VALID_SHARE, USER_VALID_SHARE = 0.05, 0.12
"""Of exam questions and of users' texts; the calibration wants more of the latter than there are many."""

REPEATS = {"expertqa": 4, "dolly-openqa": 2, "pointsman": 2}
"""How often an epoch reads a source: experts asking in their own field are what the exams lack."""

MAX_CHARS = 2000
"""Texts are cut here before they are tokenized; about 500 tokens of prose."""

_POLITE = (
    "hi, ", "hello, ", "hey, ", "please ", "can you help me? ", "quick question: ", "hi, can you explain: ",
    "i need some help. ", "could you tell me, ", "i was wondering: ", "please answer this question. ",
)  # fmt: skip
_THANKS = (" thanks", " thank you!", " please explain", " please help", " explain step by step", " be brief")


class MissingDataError(Exception):
    """A file of the training data is not there; the message says which and what it should hold."""


@dataclass(frozen=True, slots=True)
class Row:
    """One text; `label` is one of `LABELS`, a dev set's group, or empty where nobody labelled it."""

    text: str
    label: str
    source: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """All texts of a training run; `valid` was split off `train`, the dev sets are only reported on."""

    train: list[Row]
    valid: list[Row]
    unlabelled: list[Row]
    dev_mmlu_pro: list[Row]
    dev_user_prompts: list[Row]
    dev_out_of_scope: list[Row]


def load_corpus(data_dir: Path, rng: random.Random, held_out: str | None = None) -> Corpus:
    """Read `data_dir` and split a share of every (source, label) off its labelled rows for validation.

    With the source `held_out` its rows alone are the validation: how the model does on text of an origin it never saw.
    """
    dev = [_read(data_dir / f"dev_{name}.jsonl") for name in ("mmlu_pro", "user_prompts", "out_of_scope")]
    seen = {_normal(row.text) for rows in dev for row in rows} | {_normal(text) for text in NEVER_TRAINED_ON}
    labelled = _unseen(_read(data_dir / "train.jsonl"), seen)
    unlabelled = _unseen(_read(data_dir / "unlabelled.jsonl"), seen)
    if held_out is None:
        train, valid = _split(labelled, rng)
    else:
        train = [row for row in labelled if row.source != held_out]
        valid = [row for row in labelled if row.source == held_out]
    ours = [Row(text, label, "pointsman") for text, label in user_prompts()]
    return Corpus(train + _unseen(ours, seen), valid, unlabelled, *dev)


def augment(text: str, rng: random.Random) -> str:
    """`text` as a user might type it: perhaps without its final mark, with a typo, a greeting, or thanks."""
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
    """Two neighbouring letters swapped, or one lost or doubled."""
    i = rng.randrange(max(1, len(text) - 1))
    pair = text[i : i + 2]
    if not pair.isalpha():
        return text
    return text[:i] + rng.choice((pair[::-1], pair[0], pair[0] + pair)) + text[i + 2 :]


def batches(lengths: Sequence[int], max_tokens: int, rng: random.Random) -> list[list[int]]:
    """Shuffled batches of indices into `lengths`, alike in length; padded, one holds <= `max_tokens`."""
    # Noise keeps the same texts from meeting in every epoch.
    order = sorted(range(len(lengths)), key=lambda i: lengths[i] * rng.uniform(0.9, 1.1))
    found: list[list[int]] = []
    batch: list[int] = []
    longest = 0
    for i in order:
        longest = max(longest, lengths[i])
        if batch and longest * (len(batch) + 1) > max_tokens:
            found.append(batch)
            batch, longest = [], lengths[i]
        batch.append(i)
    if batch:
        found.append(batch)
    rng.shuffle(found)
    return found


def _read(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8") as lines:
            return list(_rows(lines))
    except FileNotFoundError:
        raise MissingDataError(
            f"{path}: no such file; DATA_DIR must hold train.jsonl, unlabelled.jsonl and three dev_*.jsonl, "
            'one {"text": .., "label": .., "source": ..} a line (no label in unlabelled.jsonl)'
        ) from None


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    for line in lines:
        row = json.loads(line)
        yield Row(row["text"][:MAX_CHARS], row.get("label") or "", row["source"])


def _normal(text: str) -> str:
    """`text` without case and punctuation, to find the same question again."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def _unseen(rows: list[Row], seen: set[str]) -> list[Row]:
    """The rows whose text is not in `seen`, which grows by them."""
    fresh = []
    for row in rows:
        key = _normal(row.text)
        if key not in seen:
            seen.add(key)
            fresh.append(row)
    return fresh


def _split(rows: list[Row], rng: random.Random) -> tuple[list[Row], list[Row]]:
    kinds: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        kinds[row.source, row.label].append(row)
    train: list[Row] = []
    valid: list[Row] = []
    for (source, _), kind in kinds.items():
        rng.shuffle(kind)
        cut = round(len(kind) * (VALID_SHARE if source in EXAMS else USER_VALID_SHARE))
        valid += kind[:cut]
        train += kind[cut:]
    return train, valid

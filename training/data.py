"""Read, split and batch the training data."""

from __future__ import annotations

import json
import random
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.prompts import user_prompts

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
"""Groups of the labels in `dev_user_prompts`; every other label is `general`."""

NEVER_TRAINED_ON = ("Explain async/await in JavaScript", "What causes high blood pressure?")
"""Questions that the guide shows, kept out of the training so that they test it."""

EXAMS = frozenset({"mmlu", "mmlu-pro"})
"""Sources of exam questions; the others hold what users write."""

OURS = frozenset({"pointsman", "pointsman-experts"})
"""Sources that were written for this project (see `prompts`)."""

_VALID_SHARES = {"mmlu": 0.05, "mmlu-pro": 0.05, "pointsman": 0.0, "pointsman-experts": 0.1}
"""Validation share of a source.

`pointsman` has none, since other fillings of the same templates would be trained on.
"""
_USER_VALID_SHARE = 0.12
"""Validation share of all other sources, which users wrote.

It is larger, since the calibration uses these rows and there are few of them.
"""

_REPEATS = {"expertqa": 4, "dolly-openqa": 2, "pointsman": 2, "pointsman-experts": 2}
"""Times that an epoch reads a source: the exams lack experts who ask in their own field."""

_SOURCE_LABELS = {"so-titles": "computer science", "medquad": "health", "banking77": "business"}
"""Labels of sources that are about one subject, for their rows that nobody labelled."""

MAX_CHARS = 2000
"""Length that texts are cut to before they are tokenized; about 500 tokens of prose."""


class MissingDataError(Exception):
    """A file of the training data is missing; the message names the file and its expected content."""


@dataclass(frozen=True, slots=True)
class Row:
    """One text; `label` is one of `LABELS`, a dev set's group, or empty if nobody labelled the text."""

    text: str
    label: str
    source: str

    @property
    def known_label(self) -> str:
        """Return the label, or the label of the whole source; empty if neither is known."""
        return self.label or _SOURCE_LABELS.get(self.source, "")


@dataclass(frozen=True, slots=True)
class Corpus:
    """All texts of a training run; `valid` was split off `train`, and the dev sets are only reported on."""

    train: list[Row]
    valid: list[Row]
    unlabelled: list[Row]
    dev_mmlu_pro: list[Row]
    dev_user_prompts: list[Row]
    dev_out_of_scope: list[Row]


def load_corpus(data_dir: Path, rng: random.Random, held_out: str | None = None) -> Corpus:
    """Read `data_dir` and split a share of every (source, label) off its labelled rows for validation.

    If a source is `held_out`, its rows alone are the validation, which shows how the model does on text of an origin
    that it never saw.
    """
    dev = [_read(data_dir / f"dev_{name}.jsonl") for name in ("mmlu_pro", "user_prompts", "out_of_scope")]
    seen = {_normal(row.text) for rows in dev for row in rows} | {_normal(text) for text in NEVER_TRAINED_ON}
    labelled = _unseen(_read(data_dir / "train.jsonl"), seen)
    unlabelled = _unseen(_read(data_dir / "unlabelled.jsonl"), seen)
    # Ours come last, so that added prompts change neither the unlabelled rows nor what is cached of them.
    labelled += _unseen([Row(*prompt) for prompt in user_prompts()], seen)
    if held_out is None:
        return Corpus(*_split(labelled, rng), unlabelled, *dev)
    train = [row for row in labelled if row.source != held_out]
    valid = [row for row in labelled if row.source == held_out]
    return Corpus(train, valid, unlabelled, *dev)


def repeated(rows: Sequence[Row]) -> list[int]:
    """Return the indices into `rows` that an epoch reads, each as often as `_REPEATS` says."""
    return [i for i, row in enumerate(rows) for _ in range(_REPEATS.get(row.source, 1))]


def batches(lengths: Sequence[int], max_tokens: int, rng: random.Random) -> list[list[int]]:
    """Return shuffled batches of indices into `lengths`, similar in length; padded, each has at most `max_tokens`."""
    # Without noise, the same texts would share a batch in every epoch.
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
    """Return `text` without case and punctuation, to find the same question again."""
    return re.sub(r"\W+", " ", text.lower()).strip()


def _unseen(rows: list[Row], seen: set[str]) -> list[Row]:
    """Return the rows whose text is not in `seen`, and add their texts to it."""
    fresh = []
    for row in rows:
        key = _normal(row.text)
        if key not in seen:
            seen.add(key)
            fresh.append(row)
    return fresh


def _split(rows: list[Row], rng: random.Random) -> tuple[list[Row], list[Row]]:
    """Split the rows into those to train on and those to validate on."""
    kinds: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        kinds[row.source, row.label].append(row)
    train: list[Row] = []
    valid: list[Row] = []
    for (source, _), kind in kinds.items():
        rng.shuffle(kind)
        cut = round(len(kind) * _VALID_SHARES.get(source, _USER_VALID_SHARE))
        valid += kind[:cut]
        train += kind[cut:]
    return train, valid

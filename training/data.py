"""Read the rows that the classifier is trained and judged on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

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

EXAMS = frozenset({"mmlu", "mmlu-pro"})
"""Sources of exam questions; the others hold what users write."""

SMALL_TALK = "clinc-smalltalk"
"""The source of requests that no domain is asked for."""

MAX_CHARACTERS = 2000
"""Length that texts are cut to before they are tokenized; about 500 tokens of prose."""


TRAIN = "train"
"""The `set` of rows that do not judge."""


class CannotTrain(Exception):
    """A file that the training needs is missing or belongs to another run; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class TrainingText:
    """One text; `label` is one of `LABELS`, or what a dev set calls a group of them."""

    text: str
    label: str
    source: str


def read_rows(path: Path) -> list[TrainingText]:
    """Return the rows of a file of JSON lines; raises CannotTrain.

    Rows without a label, and those of a `set` that judges, are left out.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            return list(_rows(lines))
    except FileNotFoundError:
        raise CannotTrain(
            f'{path}: no such file; it must hold one {{"text": .., "label": .., "source": ..}} a line'
        ) from None


def write_rows(
    path: Path, rows: Sequence[TrainingText], probabilities: NDArray[np.floating[Any]] | None = None
) -> None:
    """Write JSON lines that `read_rows`, `pointsman eval` and `pointsman export --calibrate` read.

    `probabilities` [n, labels] are what a model that saw none of the rows says of them.
    """
    lines = [asdict(row) for row in rows]
    if probabilities is not None:
        for line, said in zip(lines, probabilities.tolist(), strict=True):
            line["probabilities"] = {label: round(one, 6) for label, one in zip(LABELS, said, strict=True)}
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows(lines: Iterable[str]) -> Iterator[TrainingText]:
    for line in lines:
        row = json.loads(line)
        if row["label"] is not None and row.get("set", TRAIN) == TRAIN:
            yield TrainingText(row["text"][:MAX_CHARACTERS], row["label"], row.get("source", ""))

"""Read the rows that the classifier is trained and judged on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

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

MAX_CHARS = 2000
"""Length that texts are cut to before they are tokenized; about 500 tokens of prose."""


class CannotTrain(Exception):
    """A file that the training needs is missing or belongs to another run; the message says which and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """One text; `label` is one of `LABELS`, or what a dev set calls a group of them."""

    text: str
    label: str
    source: str


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a file of JSON lines; raises CannotTrain."""
    try:
        with path.open(encoding="utf-8") as lines:
            return list(_rows(lines))
    except FileNotFoundError:
        raise CannotTrain(
            f'{path}: no such file; it must hold one {{"text": .., "label": .., "source": ..}} a line'
        ) from None


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write JSON lines that `read_rows`, `pointsman eval` and `pointsman export --calibrate` read."""
    lines = [json.dumps({"text": row.text, "label": row.label, "source": row.source}) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Return the hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows(lines: Iterable[str]) -> Iterator[Row]:
    for line in lines:
        row = json.loads(line)
        yield Row(row["text"][:MAX_CHARS], row["label"], row.get("source", ""))

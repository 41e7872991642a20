"""Read labeled rows for the accuracy check and the calibration, by the rules of `pointsman eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.classify.artifact import sha256
from pointsman.classify.calibration import NO_LABEL
from pointsman.classify.tokenizer import Ids
from pointsman.config.words import choose, fold
from pointsman.errors import EvaluationError
from pointsman.evaluation.dataset import KnownLabels, read_lines, text_key, text_of
from pointsman.evaluation.metrics import Ints
from pointsman.evaluation.scheme import LabelScheme
from pointsman.improve.labels_file import OUT_OF_SCOPE
from pointsman_export.common.errors import RowsError
from pointsman_export.export.runtime import Logits

MIN_ROWS = 100
"""Least number of rows.

With fewer, one row moves the accuracy by more than the default `--max-drop`, and a threshold depends on a handful of
rows.
"""


SLACK = 0.01
"""The maximum error of the sum of probabilities: they were rounded when they were written."""
_MIN_PROBABILITY = 1e-7
"""Replaces a probability of 0, which has no logarithm."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledTexts:
    """The texts of a file and the index of each one's label or NO_LABEL, shape [texts]; `origin` is the file's name.

    `logits` [texts, labels] are those of the probabilities in the rows, None if the rows have none.
    """

    texts: list[str]
    truth: Ints
    logits: Logits | None
    origin: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPrompts:
    """Labeled prompts as token ids; two instances are equal only if identical, so that one can be a cache key."""

    prompts: Sequence[Ids]
    truth: Ints
    logits: Logits | None
    origin: str
    sha256: str


def read_labelled(path: Path, labels: list[str]) -> LabelledTexts:
    """Read the rows `{"text", "label"}` of a JSON lines file; raises RowsError with the line of every fault.

    A row that is out of scope has the label `other`, if the model has one. `probabilities`, which all rows have or
    none, are those of a model that was not trained on the row's source.
    """
    scheme = LabelScheme(labels, None)
    known = KnownLabels()

    def build(number: int, fields: dict[str, Any]) -> tuple[str, int, list[float] | None]:
        text, label = text_of(fields, "text"), text_of(fields, "label")
        truth = scheme.truth(label)
        if truth is None and fold(label) == fold(OUT_OF_SCOPE):
            truth = scheme.truth(scheme.outside[0]) if scheme.outside else NO_LABEL
        if truth is None:
            raise ValueError(f'the model has no label "{label}"; {choose(label, [*labels, OUT_OF_SCOPE])}')
        known.check(number, "text", text_key(text), label, truth)
        return text, truth, _probabilities(fields["probabilities"], labels) if "probabilities" in fields else None

    try:
        rows = read_lines(path, build)
    except EvaluationError as error:
        raise RowsError(str(error)) from error
    if (count := sum(truth != NO_LABEL for _, truth, _ in rows)) < MIN_ROWS:
        raise RowsError(f"{path}: has {count} rows, at least {MIN_ROWS} are needed; label more")
    texts, truth, given = zip(*rows, strict=True)
    if 0 < (without := given.count(None)) < len(given):
        raise RowsError(
            f'{path}: {without} of {len(given)} rows have no "probabilities"; give them for all rows or none'
        )
    logits = None if without else np.log(np.maximum(np.array(given, np.float32), _MIN_PROBABILITY))
    return LabelledTexts(list(texts), np.array(truth), logits, path.name, sha256(path))


def _probabilities(given: object, labels: Sequence[str]) -> list[float]:
    """Return the probabilities in the order of the labels; raises ValueError if they are incomplete or invalid."""
    if not isinstance(given, dict) or given.keys() != set(labels):
        raise ValueError(f'"probabilities" must be an object with a number for each label: {", ".join(labels)}')
    found = [given[label] for label in labels]
    if not all(type(value) in (int, float) and 0 <= value <= 1 for value in found) or abs(sum(found) - 1) > SLACK:
        raise ValueError('"probabilities" must be numbers from 0 to 1 that sum to 1')
    return found

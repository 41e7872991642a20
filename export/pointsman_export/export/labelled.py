"""Read labelled rows for the accuracy check and the calibration, by the rules of `pointsman eval`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pointsman.classify.calibration import NO_LABEL
from pointsman.classify.tokenizer import Ids
from pointsman.config.words import choose, fold
from pointsman.errors import EvaluationError
from pointsman.evaluation.dataset import OUT_OF_SCOPE, read_lines, text_of
from pointsman.evaluation.metrics import Ints
from pointsman.evaluation.scheme import Labels
from pointsman_export.common.errors import RowsError

LEAST_ROWS = 100
"""Least number of rows.

With fewer, one row moves the accuracy by more than the default `--max-drop`, and a threshold depends on a handful of
rows.
"""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a file and the index of each one's label or NO_LABEL, shape [texts]; `origin` is the file's name."""

    texts: list[str]
    truth: Ints
    origin: str


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Labelled prompts as token ids; two instances are equal only if identical, so that one can be a cache key."""

    prompts: Sequence[Ids]
    truth: Ints
    origin: str


def read_labelled(path: Path, labels: list[str]) -> Texts:
    """Read the rows `{"text", "label"}` of a JSON lines file; raises RowsError with the line of every fault.

    A row that is out of scope has the label `other`, if the model has one.
    """
    scheme = Labels(labels, None)

    def build(_: int, fields: dict[str, Any]) -> tuple[str, int]:
        text, label = text_of(fields, "text"), text_of(fields, "label")
        truth = scheme.truth(label)
        if truth is None and fold(label) == fold(OUT_OF_SCOPE):
            truth = scheme.truth(scheme.outside[0]) if scheme.outside else NO_LABEL
        if truth is None:
            raise ValueError(f'the model has no label "{label}"; {choose(label, [*labels, OUT_OF_SCOPE])}')
        return text, truth

    try:
        rows = read_lines(path, build)
    except EvaluationError as error:
        raise RowsError(str(error)) from error
    if (count := sum(truth != NO_LABEL for _, truth in rows)) < LEAST_ROWS:
        raise RowsError(f"{path}: has {count} rows, at least {LEAST_ROWS} are needed; label more")
    texts, truth = zip(*rows, strict=True)
    return Texts(list(texts), np.array(truth), path.name)

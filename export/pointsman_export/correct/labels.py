"""Read the labels of `pointsman label`, and tell which of the classifier's labels each allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pointsman.config.labels import cover
from pointsman.config.model import Config
from pointsman.errors import EvaluationError
from pointsman.evaluation.metrics import Bools, Ints
from pointsman.improve.labels_file import OUT_OF_SCOPE, LabelledText, read_labels
from pointsman_export.common.errors import FitDataError

MIN_LABELS = 10
"""With fewer, the folds have too few to tell anything."""


def read(path: Path) -> list[LabelledText]:
    """Return the labels that count; raises FitDataError."""
    try:
        found = read_labels(path)
    except EvaluationError as error:
        raise FitDataError(str(error)) from error
    if len(found) < MIN_LABELS:
        raise FitDataError(
            f"{path}: has {len(found)} labeled texts, at least {MIN_LABELS} are needed and 40 are wanted; give more "
            "with `pointsman collect` and `pointsman label`"
        )
    return found


def allowed_labels(
    config: Config, labels: Sequence[str], labelled: Sequence[LabelledText], path: Path
) -> tuple[Bools, Ints]:
    """Return the labels that each text may have, shape [texts, labels], and the number of its category.

    A category allows the labels that it covers, and `out_of_scope` those that no category but the rest covers. Raises
    FitDataError for a category that is not in the config, or that covers no label.
    """
    coverage = cover(config, labels)
    covers = {name: set(found) for name, found in coverage.labels_of.items()}
    rest = set() if coverage.rest is None else covers[coverage.rest]
    covers[OUT_OF_SCOPE] = rest | set(coverage.uncovered)
    counts = Counter(one.label for one in labelled)
    faults = [
        f"{path}: {count} texts are labelled {name!r}, {_fault(name, name in covers)}"
        for name, count in counts.items()
        if not covers.get(name)
    ]
    if faults:
        raise FitDataError("\n".join(faults))
    allowed = np.array([[label in covers[one.label] for label in labels] for one in labelled])
    numbers = {name: number for number, name in enumerate(counts)}
    return allowed, np.array([numbers[one.label] for one in labelled])


def _fault(name: str, known: bool) -> str:
    if name == OUT_OF_SCOPE:
        return "but every label of the classifier belongs to a category; leave one to none, or to `general`"
    if known:
        return "a category that covers no label of the classifier; give it some in mmlu_categories"
    return "which is no category of the config; label them again"

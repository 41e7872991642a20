"""Say how good a classifier's probabilities are; pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.data import EXAMS, LABELS, SMALL_TALK, TrainingText
from training.prompts import OURS

Floats: TypeAlias = NDArray[np.floating[Any]]
Bools: TypeAlias = NDArray[np.bool_]

MODELS = {"computer science": "technical", "engineering": "technical", "health": "medical", "law": "legal"}
"""The adapter of a label in the shipped config; `general` answers every other."""

OUT_OF_SCOPE = "out_of_scope"
"""The label of requests that belong to no domain, in the dev sets."""

KEPT = 0.95
"""Share of in-scope rows above the threshold at which out-of-scope rows are caught."""

_OTHER = LABELS.index("other")
_BINS = 15


def figures(rows: Sequence[TrainingText], probabilities: Floats) -> dict[str, Any]:
    """Return accuracy and calibration error by source, and the share of out-of-scope rows that are caught.

    `probabilities` has shape [n, labels].
    """
    by_source: dict[str, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        by_source[row.source].append(i)
    found: dict[str, Any] = {
        source: _accuracy([rows[i].label for i in chosen], probabilities[chosen])
        for source, chosen in sorted(by_source.items())
    }
    scores = domain_score(probabilities)
    inside = [i for i, row in enumerate(rows) if _is_inside(row)]
    outside = [i for i, row in enumerate(rows) if row.source == SMALL_TALK or row.label == OUT_OF_SCOPE]
    if inside and outside:
        found["out_of_scope_caught"] = round(caught(scores[inside], scores[outside]), 4)
    return found


def model_of(label: str) -> str:
    """Return the model that answers a label; what is no label names a model already."""
    return MODELS.get(label, "general") if label in LABELS else label


def domain_score(probabilities: Floats) -> Floats:
    """Return the greatest probability [n] of a label other than `other`."""
    scores: Floats = np.delete(probabilities, _OTHER, axis=1).max(1)
    return scores


def caught(inside: Floats, outside: Floats) -> float:
    """Return the share of the scores `outside` under the threshold that keeps `KEPT` of those `inside`."""
    threshold = np.sort(inside)[int(len(inside) * (1 - KEPT) + 1e-9)]
    return float((outside < threshold).mean())


def calibration_error(confidence: Floats, right: Bools) -> float:
    """Return the expected calibration error over bins of equal width; both have shape [n]."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(right))


def _accuracy(labels: Sequence[str], probabilities: Floats) -> dict[str, Any]:
    best = [LABELS[i] for i in probabilities.argmax(1)]
    right = np.array([one == label for one, label in zip(best, labels, strict=True)])
    models = np.array([model_of(one) == model_of(label) for one, label in zip(best, labels, strict=True)])
    return {
        "rows": len(labels),
        "labels": round(float(right.mean()), 4),
        "right_model": round(float(models.mean()), 4),
        "calibration_error": round(calibration_error(probabilities.max(1), right), 4),
    }


def _is_inside(row: TrainingText) -> bool:
    return row.source not in EXAMS | OURS and row.label not in {"other", "general", OUT_OF_SCOPE}

"""Correct a classifier by a few labeled texts, and leave it unchanged elsewhere.

The correction is added to the logits: a linear layer on the encoder's output, which begins at zero. A label says which
of the classifier's labels may be right (those that its category covers), so the loss is minus the logarithm of their
sum. Texts without a label hold the classifier to its present answers, unless they are as near to a labeled text as
labeled ones of one label are to each other: those follow the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.classify.regression import Objective, Vector, minimise
from pointsman.evaluation.metrics import Bools, Floats, Ints

STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
"""L2 strengths, from strong to weak."""
FOLDS = 5
NEAR = 0.1
"""All but this share of the labeled texts are as near to another of their label."""
_SEED = 19


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Texts as a classifier sees them: `features` [n, width], and its `logits` [n, labels] over its temperature."""

    features: Floats
    logits: Floats

    def at(self, chosen: Bools | Ints) -> TextFeatures:
        """Return some of the texts."""
        return TextFeatures(self.features[chosen], self.logits[chosen])


@dataclass(frozen=True, slots=True)
class Correction:
    """The term that is added to the logits: features @ `weights` [width, labels] + `bias`."""

    weights: Vector
    bias: Vector

    def corrected(self, texts: TextFeatures) -> Vector:
        """Return the logits with the correction."""
        found: Vector = texts.logits + texts.features.astype(np.float64) @ self.weights + self.bias
        return found


@dataclass(frozen=True, slots=True)
class FeatureScaler:
    """The centers and scales of features, by which a strength means the same for each encoder."""

    mean: Vector
    deviation: float

    @classmethod
    def of(cls, *features: Floats) -> FeatureScaler:
        together = np.concatenate(features)
        deviation = float(together.std(axis=0, dtype=np.float64).mean()) or 1.0
        return cls(together.mean(axis=0, dtype=np.float64), deviation)

    def apply(self, features: Floats) -> Vector:
        found: Vector = (features - self.mean) / self.deviation
        return found


def correct(
    labelled: TextFeatures, allowed: Bools, anchors: TextFeatures, strength: float, scale: FeatureScaler
) -> Correction:
    """Return the correction by labeled texts, of which `allowed` [n, labels] may be right; `anchors` must not change.

    Those in `anchors` weigh as much, together, as the labeled ones.
    """
    rows, anchor_count = len(labelled.features), len(anchors.features)
    features = np.concatenate([scale.apply(labelled.features), scale.apply(anchors.features)]).astype(np.float32)
    logits = np.concatenate([labelled.logits, anchors.logits]).astype(np.float64)
    weights = np.concatenate([np.ones(rows), np.full(anchor_count, rows / max(anchor_count, 1))])
    targets = softmax(anchors.logits.astype(np.float64))
    start = np.zeros(features.shape[1] * logits.shape[1])
    found = minimise(_objective(features, logits, weights, allowed, targets, strength), start)
    folded = found.reshape(features.shape[1], -1) / scale.deviation
    return Correction(folded, -scale.mean @ folded)


def choose(
    labelled: TextFeatures, allowed: Bools, anchors: TextFeatures, folds: Ints, scale: FeatureScaler
) -> tuple[float, Vector]:
    """Return the strength under which left-out texts are likeliest, and their logits under it."""
    found = np.empty((len(STRENGTHS), *labelled.logits.shape))
    for fold in range(FOLDS):
        out = folds == fold
        if not out.any():
            continue
        for index, strength in enumerate(STRENGTHS):
            correction = correct(labelled.at(~out), allowed[~out], anchors, strength, scale)
            found[index, out] = correction.corrected(labelled.at(out))
    losses = [-np.log(np.maximum(1e-9, (softmax(one) * allowed).sum(axis=1))).mean() for one in found]
    best = int(np.argmin(losses))
    return STRENGTHS[best], found[best]


def free(labelled: TextFeatures, groups: Ints, others: TextFeatures, scale: FeatureScaler) -> Bools:
    """Return which of the other texts are as near to a labeled one as labeled ones of one label are to each other."""
    ours, theirs = _units(scale.apply(labelled.features)), _units(scale.apply(others.features))
    between = ours @ ours.T
    between[(groups[:, None] != groups[None, :]) | np.eye(len(ours), dtype=bool)] = -1.0
    nearest = between.max(axis=1)
    if not (nearest > -1).any():
        return np.zeros(len(theirs), dtype=bool)
    near: Bools = (theirs @ ours.T).max(axis=1) >= np.quantile(nearest[nearest > -1], NEAR)
    return near


def softmax(logits: Vector | Floats) -> Vector:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Vector = exponents / exponents.sum(axis=1, keepdims=True)
    return result


def _objective(
    features: Floats, logits: Vector, weights: Vector, allowed: Bools, targets: Vector, strength: float
) -> Objective:
    rows, total = len(allowed), weights.sum()

    def objective(point: Vector) -> tuple[float, Vector]:
        matrix = point.reshape(features.shape[1], -1)
        scores = softmax(logits + features @ matrix.astype(np.float32))
        mass = np.maximum((scores[:rows] * allowed).sum(axis=1), 1e-12)
        wanted = np.concatenate([scores[:rows] * allowed / mass[:, None], targets])
        anchor_losses = -(targets * np.log(np.maximum(scores[rows:], 1e-12))).sum(axis=1)
        losses = np.concatenate([-np.log(mass), anchor_losses])
        loss = (weights * losses).sum() / total + strength / 2 * (matrix**2).sum() / total
        error = (scores - wanted) * (weights / total)[:, None]
        slope = features.T @ error.astype(np.float32) + strength / total * matrix
        return float(loss), slope.astype(np.float64).ravel()

    return objective


def _units(features: Vector) -> Vector:
    units: Vector = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    return units


def folds_of(groups: Ints) -> Ints:
    """Return the fold of each text; each has a similar share of each group."""
    order: Sequence[int] = np.random.default_rng(_SEED).permutation(len(groups)).tolist()
    order = sorted(order, key=lambda index: groups[index])
    folds = np.empty(len(groups), dtype=np.int64)
    folds[order] = np.arange(len(groups)) % FOLDS
    return folds

"""Fit a multinomial logistic regression with L2 in numpy alone; the result is one linear layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.classify.regression import Objective, Vector, minimise, split
from pointsman.evaluation.metrics import Floats, Ints


@dataclass(frozen=True, slots=True)
class Head:
    """A linear layer: logits = features @ weights.T + bias.

    `weights` has shape [labels, width], `bias` [labels]; both are float64.
    """

    weights: Vector
    bias: Vector

    def logits(self, features: Floats) -> Vector:
        """Return the logits [rows, labels] of features [rows, width]."""
        return features.astype(np.float64) @ self.weights.T + self.bias


def fit_heads(features: Floats, truth: Ints, labels: int, strengths: Sequence[float]) -> list[Head]:
    """Return one head for each L2 strength, in their order.

    Each fit starts from the head before, so order the strengths from strong to weak. `features` has shape [rows,
    width], `truth` [rows]. The features are centered and divided by their mean deviation first, so that a strength
    means the same for every encoder; this is folded into the heads. The loss is the negative log-likelihood of all rows
    plus strength / 2 times the squared weights, divided by the number of rows; the bias has no penalty.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    scale = features.std(axis=0, dtype=np.float64).mean() or 1.0
    standard = ((features - mean) / scale).astype(np.float32)
    targets = np.eye(labels)[truth]
    point = np.zeros(labels * (features.shape[1] + 1))
    heads = []
    for strength in strengths:
        point = minimise(_loss(standard, targets, strength / len(truth)), point)
        weights, bias = split(point, labels)
        folded = weights / scale
        heads.append(Head(folded, bias - folded @ mean))
    return heads


def _loss(features: Floats, targets: Vector, strength: float) -> Objective:
    """Return the function that gives the mean loss of the rows and its gradient.

    `targets` has shape [rows, labels], and `strength` is that of one row. The products with the features, which take
    most of the time, are in float32: their rounding is a thousandth of _TOLERANCE.
    """
    rows, labels = targets.shape

    def objective(point: Vector) -> tuple[float, Vector]:
        weights, bias = split(point, labels)
        logits = features @ weights.T.astype(np.float32) + bias
        logits -= logits.max(axis=1, keepdims=True)
        exponents = np.exp(logits)
        totals = exponents.sum(axis=1, keepdims=True)
        error = (exponents / totals - targets) / rows
        loss = (np.log(totals).sum() - (logits * targets).sum()) / rows + strength / 2 * (weights**2).sum()
        slope = error.T.astype(np.float32) @ features
        gradient = np.hstack([slope + strength * weights, error.sum(axis=0)[:, None]])
        return float(loss), gradient.ravel()

    return objective

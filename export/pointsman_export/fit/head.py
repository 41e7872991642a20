"""Fit a multinomial logistic regression with L2 in numpy alone; the result is one linear layer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointsman.evaluation.metrics import Floats, Ints

Vector = npt.NDArray[np.float64]
Objective = Callable[[Vector], tuple[float, Vector]]

_MEMORY = 10
_MAX_STEPS = 300
_TOLERANCE = 1e-4
"""Largest gradient entry at which the fit ends; the loss is in nats per row."""
_SUFFICIENT = 1e-4
_MIN_STEP = 1e-10


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
        weights, bias = _split(point, labels)
        folded = weights / scale
        heads.append(Head(folded, bias - folded @ mean))
    return heads


def minimise(objective: Objective, start: Vector) -> Vector:
    """Return the minimum of a smooth convex function that gives its value and gradient.

    The method is L-BFGS (Nocedal and Wright, Numerical Optimization, 2006, algorithms 7.4 and 7.5) with backtracking to
    Armijo's condition. It ends at a gradient below _TOLERANCE, or if no step reduces the value.
    """
    point = start
    value, gradient = objective(point)
    pairs: deque[tuple[Vector, Vector]] = deque(maxlen=_MEMORY)
    for _ in range(_MAX_STEPS):
        if np.abs(gradient).max() <= _TOLERANCE:
            break
        direction = -_inverse_hessian_times(gradient, pairs)
        step = 1.0
        candidate, (after, slope) = point + direction, objective(point + direction)
        while after > value + _SUFFICIENT * step * (gradient @ direction):
            step /= 2
            if step < _MIN_STEP:
                return point
            candidate = point + step * direction
            after, slope = objective(candidate)
        change, bend = candidate - point, slope - gradient
        if change @ bend > 0:
            pairs.append((change, bend))
        point, value, gradient = candidate, after, slope
    return point


def _inverse_hessian_times(gradient: Vector, pairs: deque[tuple[Vector, Vector]]) -> Vector:
    """Run algorithm 7.4, the two-loop recursion over the last changes of point and gradient."""
    result = gradient.copy()
    shares = []
    for change, bend in reversed(pairs):
        share = (change @ result) / (change @ bend)
        shares.append(share)
        result -= share * bend
    if pairs:
        change, bend = pairs[-1]
        result *= (change @ bend) / (bend @ bend)
    for (change, bend), share in zip(pairs, reversed(shares), strict=True):
        result += (share - (bend @ result) / (change @ bend)) * change
    return result


def _loss(features: Floats, targets: Vector, strength: float) -> Objective:
    """Return the function that gives the mean loss of the rows and its gradient.

    `targets` has shape [rows, labels], and `strength` is that of one row. The products with the features, which take
    most of the time, are in float32: their rounding is a thousandth of _TOLERANCE.
    """
    rows, labels = targets.shape

    def objective(point: Vector) -> tuple[float, Vector]:
        weights, bias = _split(point, labels)
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


def _split(point: Vector, labels: int) -> tuple[Vector, Vector]:
    """Split a flat vector into weights [labels, width] and bias [labels]."""
    matrix = point.reshape(labels, -1)
    return matrix[:, :-1], matrix[:, -1]

"""Minimize smooth convex functions of many numbers in NumPy alone, as the fit of a linear layer needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]
Objective = Callable[[Vector], tuple[float, Vector]]

_MEMORY = 10
_MAX_STEPS = 300
_TOLERANCE = 1e-4
"""Largest gradient entry at which the fit ends; the loss is in nats per row."""
_SUFFICIENT = 1e-4
_MIN_STEP = 1e-10


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


def split(point: Vector, rows: int) -> tuple[Vector, Vector]:
    """Split a flat vector into the weights [rows, width] and the bias [rows] of a linear layer."""
    matrix = point.reshape(rows, -1)
    return matrix[:, :-1], matrix[:, -1]

"""Calibrate scores: fit a temperature; pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from pointsman.evaluation.metrics import Floats, Ints

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.2, 5.0

_GOLDEN = (math.sqrt(5) - 1) / 2
_TOLERANCE = 1e-4  # of the log-temperature


def fit_temperature(logits: Floats, truth: Ints) -> float:
    """Return the temperature, 0.2 to 5, with the highest likelihood of softmax(logits / temperature).

    Returns 1.0 without rows. `logits` has shape [n, labels], `truth` [n]. Guo et al., On Calibration of Modern Neural
    Networks, 2017: one number, fitted on held-out rows, corrects most of the overconfidence and changes no label. The
    loss has one minimum in the temperature, so a golden section search over its logarithm finds it.
    """
    if len(truth) == 0:
        return 1.0
    exact = logits.astype(np.float64)
    low, high = math.log(MIN_TEMPERATURE), math.log(MAX_TEMPERATURE)
    return math.exp(_minimum(lambda log: negative_log_likelihood(exact / math.exp(log), truth), low, high))


def negative_log_likelihood(logits: Floats, truth: Ints) -> float:
    """Return the mean over the rows, in nats."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=-1)) - shifted[np.arange(len(truth)), truth]
    return float(losses.mean())


def _minimum(loss: Callable[[float], float], low: float, high: float) -> float:
    """Return the position of the only minimum between `low` and `high`, by golden section search."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > _TOLERANCE:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2

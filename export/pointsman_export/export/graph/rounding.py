"""Choose the rounding of a linear layer's input to int8."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pointsman_export.export.graph.weights import Floats

_ALPHA = 0.8
"""The part of a channel's range that moves from the input to the weights; 0.5 and 0.65 were worse on MiniLM."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """A rounding: divide the channels by `factor` first, and multiply the weights by it.

    If no input is below `least`, the int8 values begin there, so their steps are half as wide as if they were
    symmetric.
    """

    factor: Floats | None = None
    least: float | None = None


SYMMETRIC = Rounding()


def smooth(greatest: Floats, *matrices: Floats) -> Rounding:
    """Return the rounding for an input that all `matrices` [outputs, channels] read.

    `greatest` is the largest absolute value of each channel on real text. A few channels are far larger than the others
    and would coarsen the steps of all (SmoothQuant, Xiao et al. 2023).
    """
    weight = np.max([np.abs(matrix).max(axis=0) for matrix in matrices], axis=0)
    usable = (greatest > 0) & (weight > 0)
    factor = np.where(usable, greatest, 1) ** _ALPHA / np.where(usable, weight, 1) ** (1 - _ALPHA)
    return Rounding(factor=factor.astype(np.float32))

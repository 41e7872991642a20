"""Balance weights so that int8 does not see outliers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Weights = dict[str, Floats]
"""Tensors by the checkpoint's names, without the prefix of the encoder."""


def balance(weights: Weights, norm: str, linear: str) -> None:
    """Divide a norm's output channels by a factor, and multiply the columns of the layer after it by the same factor.

    This is exact in float, since a norm ends in a product with its weight. A channel's largest weight and its norm's
    weight become equal, so that an outlier among the activations no longer coarsens the steps of all others
    (SmoothQuant, Xiao et al. 2023, with the norm's weight for the activation's range and alpha 0.5). Nothing but
    `linear` may read the norm.
    """
    gain, matrix = np.abs(weights[f"{norm}.weight"]), weights[f"{linear}.weight"]
    greatest = np.abs(matrix).max(axis=0)
    usable = (gain > 0) & (greatest > 0)
    factor = np.sqrt(np.where(usable, gain, 1) / np.where(usable, greatest, 1)).astype(np.float32)
    for name in (f"{norm}.weight", f"{norm}.bias"):
        if name in weights:
            weights[name] = weights[name] / factor
    weights[f"{linear}.weight"] = matrix * factor

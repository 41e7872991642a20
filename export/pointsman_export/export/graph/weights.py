"""Load the checkpoint's tensors, and balance outliers so that int8 does not see them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from pointsman_export.common.errors import UnknownFormError
from pointsman_export.export.graph.architecture import Architecture

Floats = npt.NDArray[np.floating]
Weights = dict[str, Floats]


def load_weights(path: Path, form: Architecture) -> Weights:
    """Return the balanced float32 tensors by the checkpoint's names.

    Raises UnknownFormError if a tensor has a type that numpy does not support.
    """
    try:
        weights = {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}
    except (TypeError, KeyError) as error:
        raise UnknownFormError(f"{path.name}: has tensors of a type that numpy does not know ({error})") from error
    balance(weights, form)
    return weights


def balance(weights: Weights, form: Architecture) -> None:
    """Divide each norm's output channels by a factor, and multiply the rows of the layer after it by the same factor.

    This is exact in float, since a norm ends in a product with its weight. A channel's largest weight and its norm's
    weight become equal, so that an outlier among the activations no longer coarsens the steps of all others
    (SmoothQuant, Xiao et al. 2023, with the norm's weight for the activation's range and alpha 0.5). The first layer's
    attention has no norm of its own, and the norm before it also feeds the residual stream.
    """
    for layer in range(form.layers):
        prefix = f"model.layers.{layer}"
        if layer:
            _balance(weights, f"{prefix}.attn_norm", f"{prefix}.attn.Wqkv.weight")
        _balance(weights, f"{prefix}.mlp_norm", f"{prefix}.mlp.Wi.weight")


def _balance(weights: Weights, norm: str, linear: str) -> None:
    gain, matrix = np.abs(weights[f"{norm}.weight"]), weights[linear]
    greatest = np.abs(matrix).max(axis=0)
    usable = (gain > 0) & (greatest > 0)
    factor = np.sqrt(np.where(usable, gain, 1) / np.where(usable, greatest, 1)).astype(np.float32)
    for name in (f"{norm}.weight", f"{norm}.bias"):
        if name in weights:
            weights[name] = weights[name] / factor
    weights[linear] = matrix * factor

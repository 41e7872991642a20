"""Find the bound of error with which `export` keeps as much of random weights in float as of trained ones.

Random weights have no outlier channels: with the default bound all of their layers are int8, and are faster than those
of trained weights. Which layers stay in float is up to `export`, as with trained ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pointsman.classify.tokenizer import Tokenizer, Window

Activations = Literal["token", "tensor"]
"""The scales of activations: one for each token, or one for all tokens of a run."""
IN_FLOAT: dict[Activations, float] = {"token": 0.54, "tensor": 0.6}
"""Share of the linear layers' weights, by the scales: what `fidelity` found of all-MiniLM-L6-v2."""
RANKED, RANKED_TOKENS = 8, 16
"""Texts, and tokens of each, by which the layers are ranked, as `export` does."""


def bound(source: Path, texts: Sequence[str], activations: Activations) -> float:
    """Return the error that the int8 graph of a checkpoint has on `texts` with IN_FLOAT in float."""
    from pointsman_export.export.checkpoint import open_checkpoint
    from pointsman_export.export.recipe import FastRecipe
    from pointsman_export.export.runtime import OnnxGraph, alone
    from pointsman_export.export.selection import logit_error, rank, sample, spread
    from pointsman_export.export.torch_model import load_model

    checkpoint = open_checkpoint(str(source))
    model = load_model(checkpoint)
    prompts = [item.ids for item in Tokenizer(checkpoint.tokenizer).encode(list(texts), Window.even(512))]
    measured = sample(prompts)
    recipe = FastRecipe(checkpoint, model, activations, measured)
    few = spread(prompts, RANKED, RANKED_TOKENS)
    ranked = rank(recipe.to_round(model), recipe.layers, few, recipe.activations, recipe.roundings)
    modules = {name: model.base_model.get_submodule(name) for name in ranked}
    weights = {name: one.weight.numel() if hasattr(one, "in_features") else 0 for name, one in modules.items()}
    with tempfile.TemporaryDirectory() as folder:
        exact, rounded = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        recipe.write_float(exact)
        recipe.write_int8(rounded, fewest(ranked, weights, IN_FLOAT[activations]))
        return logit_error(alone(OnnxGraph(exact), measured), alone(recipe.open_int8(rounded), measured))


def fewest(ranked: Sequence[str], weights: Mapping[str, int], share: float) -> list[str]:
    """Return the first of the layers that have this share of the weights together."""
    wanted, kept = share * sum(weights.values()), list[str]()
    for name in ranked:
        if sum(weights[one] for one in kept) >= wanted:
            break
        kept.append(name)
    return kept

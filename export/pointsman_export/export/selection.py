"""Choose the layers that stay in float: none if int8 throughout is close enough to float, else as few as possible.

The error of a graph is the change of the logits of real text, as a share of their spread. If int8 throughout exceeds
the bound, each layer is rounded alone, in torch, and the layers are ranked by the error that each one causes; then as
few as possible of the worst stay in float. The decision always rests on the error of the int8 graph itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from pointsman.classify.tokenizer import Ids
from pointsman_export.export.graph.linear import Activations
from pointsman_export.export.graph.rounding import SYMMETRIC, Rounding
from pointsman_export.export.quantize import MAX_INT8, MIN_SCALE
from pointsman_export.export.recipe import Recipe
from pointsman_export.export.runtime import Logits, OnnxGraph, alone
from pointsman_export.export.verify import torch_logits

_MEASURED, _MEASURED_TOKENS = 64, 128
"""Number of texts, and of tokens read of each, on which a graph's error is measured."""
_RANKED, _RANKED_TOKENS = 8, 16
"""Number of texts, and of tokens read of each, on which the layers are ranked.

That is 89 passes at ModernBERT-base's shape, which should take no more than a minute.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The layers that stay in float, and the error with and without them.

    `float_layers` are named as in the checkpoint, the worst first. Errors are shares of the logits' spread over `texts`
    texts: `error` of the written graph, `int8_error` with no layer in float.
    """

    float_layers: list[str]
    layers: int
    texts: int
    error: float
    int8_error: float
    bound: float


def sample(prompts: Sequence[Ids]) -> list[Ids]:
    """Return the prompts, cut, on which ranges and errors are measured."""
    return spread(prompts, _MEASURED, _MEASURED_TOKENS)


def quantize_to_max_error(
    recipe: Recipe,
    model: Any,
    paths: dict[str, Path],
    prompts: Sequence[Ids],
    bound: float,
    progress: Callable[[str], None],
) -> Selection:
    """Write the int8 graph of `recipe` to the second of `paths`, with an error of at most `bound` on `prompts`.

    `model` is the torch model, and its float graph is in the first. Raises GraphError on an unknown form.
    """
    measured = sample(prompts)
    float_path, int8_path = paths.values()
    expected = alone(OnnxGraph(float_path), measured)

    def error(float_layers: Sequence[str]) -> float:
        recipe.write_int8(int8_path, float_layers)
        return logit_error(expected, alone(recipe.open_int8(int8_path), measured))

    int8_error = error(())
    float_layers: list[str] = []
    if int8_error > bound:
        progress(f"measuring what int8 does to each of {len(recipe.layers)} layers")
        ranked = rank(
            recipe.to_round(model),
            recipe.layers,
            spread(prompts, _RANKED, _RANKED_TOKENS),
            recipe.activations,
            recipe.roundings,
        )
        progress("looking for the fewest layers to keep in float")
        float_layers = ranked[: _fewest(len(ranked), lambda count: error(ranked[:count]) <= bound)]
    return Selection(
        float_layers=float_layers,
        layers=len(recipe.layers),
        texts=len(measured),
        error=error(float_layers) if float_layers else int8_error,
        int8_error=int8_error,
        bound=bound,
    )


def _fewest(max_count: int, enough: Callable[[int], bool]) -> int:
    """Return the least count from 1 to `max_count` that is `enough`; `max_count` itself is assumed to be.

    The search starts at the small counts.
    """
    high = 1
    while high < max_count and not enough(high):
        high *= 2
    return bisect_left(range(max_count + 1), True, lo=high // 2 + 1, hi=min(high, max_count), key=enough)


def logit_error(expected: Logits, found: Logits) -> float:
    """Return the RMS difference of two logits [texts, labels] as a share of the RMS of `expected`.

    A constant that is added to all labels of a text changes no probability and does not count.
    """
    expected, found = (logits - logits.mean(axis=1, keepdims=True) for logits in (expected, found))
    moved = float(np.sqrt(np.square(found - expected).mean()))
    return moved / float(np.sqrt(np.square(expected).mean())) if moved else 0.0


def rank(
    model: Any,
    names: Sequence[str],
    prompts: list[Ids],
    activations: Activations = "token",
    roundings: Mapping[str, Rounding] = MappingProxyType({}),
) -> list[str]:
    """Sort `names` by how far rounding each one alone moves the torch model's logits, the farthest first."""
    errors = {}
    with _one_thread():
        expected = torch_logits(model, prompts)
        for name in names:
            with rounded(model.base_model.get_submodule(name), activations, roundings.get(name, SYMMETRIC)):
                errors[name] = logit_error(expected, torch_logits(model, prompts))
    return sorted(names, key=lambda name: -errors[name])


@contextmanager
def rounded(module: Any, activations: Activations = "token", rounding: Rounding = SYMMETRIC) -> Iterator[None]:
    """Let a linear layer or embedding compute with rounded weights and, if linear, rounded inputs, as in int8."""
    weight = module.weight.data
    factor = torch.ones(1) if rounding.factor is None else torch.from_numpy(rounding.factor)
    axes = (-1,) if activations == "token" else (-3, -2, -1)
    hooks = []
    if isinstance(module, torch.nn.Linear):
        hooks.append(
            module.register_forward_pre_hook(lambda _, inputs: (_rounded(inputs[0] / factor, axes, rounding.least),))
        )
    module.weight.data = _rounded(weight * factor, (-1,))
    try:
        yield
    finally:
        module.weight.data = weight
        for hook in hooks:
            hook.remove()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Restrict torch to one thread.

    On so few tokens, more threads gain little, and with other programs running they wait for one another: a pass over
    the small shape took 7 ms on one thread and 290 ms on two of two busy cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def spread(prompts: Sequence[Ids], count: int, tokens: int) -> list[Ids]:
    """Return at most `count` prompts, evenly spaced over the sequence, each cut to `tokens`."""
    chosen = np.linspace(0, len(prompts) - 1, min(count, len(prompts))).round().astype(int)
    return [prompts[index][:tokens] for index in chosen]


def _rounded(values: Any, axes: tuple[int, ...], least: float | None = None) -> Any:
    """Round to int8 with a step for each slice along `axes`; symmetric, or from `least` up.

    A slice is an output's weights, or a token's or a run's activations.
    """
    if least is not None:
        step = ((values - least).amax(axes, keepdim=True) / (2 * MAX_INT8 + 1)).clamp(min=MIN_SCALE)
        return ((values - least) / step).round() * step + least
    step = (values.abs().amax(axes, keepdim=True) / MAX_INT8).clamp(min=MIN_SCALE)
    return (values / step).round() * step

"""Verify that a graph computes what the checkpoint computes: names, axes, shapes, values, then independence.

Of an encoder without a head, logits are its features.

Each check returns its measurement for the report, and raises its own VerificationError, which quotes both sides.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from pointsman.classify.tokenizer import Ids
from pointsman_export.common.errors import AxesError, BatchError, NamesError, PaddingError, ShapeError, ValuesError
from pointsman_export.export.interface import Interface
from pointsman_export.export.runtime import Logits, RunnableGraph, alone, padded

TOLERANCE = 1e-4
HALF_TOLERANCE = 2e-2
LENGTHS = (1, 2, 17, 66, 131, 300, 1024)
"""Tokens of the random prompts: below, at and above the local layers' window of 128.

Positions are computed in the graph and not looked up, so longer prompts would show nothing more.
"""

_BATCH = 8
_PADDING = 40


def tolerance(precision: str) -> float:
    """Return the largest allowed difference of a logit, or of a feature as a share of the largest one."""
    return HALF_TOLERANCE if precision == "fp16" else TOLERANCE


def random_prompts(vocabulary: int, max_tokens: int, padding: int | None) -> list[Ids]:
    """Return prompts of random tokens other than `padding`, the same at every export, none longer than `max_tokens`."""
    random = np.random.default_rng(0)
    tokens = np.array([token for token in range(vocabulary) if token != padding])
    return [random.choice(tokens, length) for length in LENGTHS if length <= max_tokens]


def largest(model: Any, prompts: list[Ids]) -> float:
    """Return the largest absolute value of the torch model's logits."""
    return max(float(np.abs(torch_logits(model, [prompt])).max()) for prompt in prompts)


def check_interface(path: Path, interface: Interface, output: str, width: int) -> None:
    """Check names, dynamic axes and declared shapes; raises NamesError, AxesError or ShapeError."""
    graph = onnx.load(path, load_external_data=False).graph
    inputs, outputs = [value.name for value in graph.input], [value.name for value in graph.output]
    if (inputs, outputs) != (interface.names, [output]):
        raise NamesError(
            f"the graph maps {inputs} to {outputs}, expected {interface.names} to {[output]}; "
            "use the versions that the extra pointsman[export] names"
        )
    known = [*interface.inputs.items(), (output, [interface.rows, None])]
    for value, (name, expected) in zip([*graph.input, *graph.output], known, strict=True):
        axes = [dimension.dim_param or None for dimension in value.type.tensor_type.shape.dim]
        if axes != expected:
            raise AxesError(f"{name} of the graph has the dynamic axes {axes}, expected {expected}")
    columns = graph.output[0].type.tensor_type.shape.dim[1].dim_value
    if columns != width:
        raise ShapeError(f"{output} of the graph has {columns} columns, expected {width} as in the checkpoint")


def check_values(model: Any, graph: RunnableGraph, precision: str, prompts: list[Ids], scale: float = 1.0) -> float:
    """Return the largest difference from the torch model, alone and in a batch; raises ShapeError or ValuesError.

    This difference and those of the other checks are in units of `scale`.
    """
    short = [prompt for prompt in prompts if len(prompt) <= LENGTHS[3]]
    worst = 0.0
    for batch in [*([prompt] for prompt in prompts), short]:
        expected, found = torch_logits(model, batch), graph.logits(batch)
        if expected.shape != found.shape:
            raise ShapeError(f"the graph's logits are {found.shape}, the torch model's {expected.shape}")
        difference = _difference(expected, found) / scale
        if not difference <= tolerance(precision):
            raise ValuesError(
                f"{precision}: logits differ by {difference:.2g}, allowed {tolerance(precision):.0e}, for {len(batch)} "
                f"prompts of up to {max(map(len, batch))} tokens{_sides('torch', expected, 'graph', found)}"
            )
        worst = max(worst, difference)
    return worst


def prompts_of_one_length(vocabulary: int, max_tokens: int) -> list[Ids]:
    """Return a batch of prompts of random tokens that needs no padding."""
    return list(np.random.default_rng(1).integers(0, vocabulary, (_BATCH, min(48, max_tokens))))


def check_batch(graph: RunnableGraph, precision: str, prompts: list[Ids], scale: float = 1.0) -> float:
    """Return the largest change of a prompt's logits by the other prompts of its batch; raises BatchError."""
    single, together = alone(graph, prompts), graph.logits(prompts)
    difference = _difference(single, together) / scale
    if not difference <= tolerance(precision):
        raise BatchError(
            f"{precision}: the logits of a prompt move by {difference:.2g} in a batch of {len(prompts)}, allowed "
            f"{tolerance(precision):.0e}{_sides('alone', single, 'together', together)}"
        )
    return difference


def check_padding(graph: RunnableGraph, precision: str, prompts: list[Ids], scale: float = 1.0) -> float:
    """Return the largest change of a prompt's logits by padding; raises PaddingError.

    A prompt is padded alone and together with longer prompts.
    """
    single = alone(graph, prompts)
    wider = np.concatenate([graph.logits([prompt], len(prompt) + _PADDING) for prompt in prompts])
    worst = 0.0
    for how, found in ((f"padded by {_PADDING} tokens", wider), ("beside longer prompts", graph.logits(prompts))):
        difference = _difference(single, found) / scale
        if not difference <= tolerance(precision):
            raise PaddingError(
                f"{precision}: the logits of a prompt move by {difference:.2g} {how}, allowed "
                f"{tolerance(precision):.0e}{_sides('unpadded', single, 'padded', found)}"
            )
        worst = max(worst, difference)
    return worst


def torch_logits(model: Any, prompts: list[Ids]) -> Logits:
    """Return the torch model's logits [prompts, labels], or an encoder's features."""
    ids, mask = padded(prompts)
    with torch.inference_mode():
        output = model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask))
    return output[0].numpy()  # type: ignore[no-any-return]


def _difference(one: Logits, other: Logits) -> float:
    return float(np.abs(one - other).max())


def _sides(one: str, expected: Logits, other: str, found: Logits) -> str:
    """Quote the first logits of both sides, for the prompt where they differ most."""
    row = np.abs(expected - found).max(axis=1).argmax()
    lines = ((one, expected), (other, found))
    return "".join(f"\n  {name}: {' '.join(f'{value:+.4f}' for value in logits[row, :8])}" for name, logits in lines)

"""Run a graph on many prompts, with ONNX Runtime alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime

from pointsman.classify import packing
from pointsman.classify.runtime import sum_exactly
from pointsman.classify.tokenizer import Ids
from pointsman.evaluation.metrics import Floats
from pointsman_export.common.errors import GraphError
from pointsman_export.common.features import FORM

_MAX_BATCH_TOKENS = 256
"""Most tokens of one run, since longer runs exceed the caches of a small CPU."""
_ERRORS_ONLY = 3


def open_session(model: bytes) -> Any:
    """Return a session of the graph on the CPU; raises GraphError."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # Threads that wait give their core away: between the short runs, spinning took half of the CPU time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    sum_exactly(options)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise GraphError(f"ONNX Runtime cannot load the graph ({error}); {FORM}") from error


def run(
    session: Any,
    outputs: Sequence[str],
    prompts: Sequence[Ids],
    progress: Callable[[int], None],
    *,
    for_gpu: bool = False,
) -> list[Floats]:
    """Return each of the outputs for each prompt, shape [prompts, width]; raises GraphError.

    Prompts of one length share a run, so none is padded. `progress` is called with the number of finished prompts.
    """
    inputs = [item.name for item in session.get_inputs()]
    packed = inputs == list(packing.INPUTS)
    multiple = packing.GPU_BLOCK if for_gpu else 1
    found: list[list[Floats]] = []
    done = 0
    batches = _batches(prompts)
    for batch in batches:
        some = [prompts[index] for index in batch]
        feed = packing.pack(some, multiple) if packed else _stacked(some)
        values = session.run(list(outputs), {name: feed[name] for name in inputs})
        if any(one.ndim != 2 for one in values):
            raise GraphError(f"an output has {values[0].ndim} axes, expected 2: prompts and width; {FORM}")
        found.append(values)
        done += len(batch)
        progress(done)
    order = [index for batch in batches for index in batch]
    return [_ordered(np.concatenate(parts), order) for parts in zip(*found, strict=True)]


def _ordered(rows: Floats, order: list[int]) -> Floats:
    result = np.empty_like(rows)
    result[order] = rows
    return result


def _batches(prompts: Sequence[Ids]) -> list[list[int]]:
    """Group the prompts' indices into batches of one length, with at most _MAX_BATCH_TOKENS tokens together."""
    by_length: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        by_length.setdefault(len(prompt), []).append(index)
    return [
        indices[start : start + size]
        for length, indices in sorted(by_length.items())
        for size in [max(1, _MAX_BATCH_TOKENS // length)]
        for start in range(0, len(indices), size)
    ]


def _stacked(prompts: Sequence[Ids]) -> dict[str, Ids]:
    """Return the feed of a graph that is not packed, for prompts of one length."""
    ids = np.stack(prompts)
    return {"input_ids": ids, "attention_mask": np.ones_like(ids)}

"""Pack prompts of any length into one row of tokens without padding, the input of a packed graph.

Positions restart with every prompt, and segment ids separate prompts, so that none attends to another. Exporter and
engine share the names and meanings defined here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.classify.tokenizer import Ids

INPUTS = ("input_ids", "position_ids", "segment_ids", "starts")
"""int64: token ids, positions and segment ids, each [tokens], and the start of each prompt, [prompts]."""
GPU_BLOCK = 64
"""A graph for a GPU takes a multiple of these tokens."""


def pack(prompts: Sequence[Ids], multiple: int = 1) -> dict[str, Ids]:
    """Return the feed for non-empty `prompts`; prompt i has segment id i and row i of the logits.

    Filler up to a `multiple` of tokens is a segment of its own, with the id -1 and without a row.
    """
    lengths = [len(prompt) for prompt in prompts]
    starts = np.cumsum([0, *lengths[:-1]], dtype=np.int64)
    input_ids = np.concatenate(prompts)
    segment_ids = np.repeat(np.arange(len(prompts)), lengths)
    filler = (0, -len(input_ids) % multiple)
    return {
        "input_ids": np.pad(input_ids, filler),
        "position_ids": np.pad(np.arange(len(input_ids)) - starts[segment_ids], filler),
        "segment_ids": np.pad(segment_ids, filler, constant_values=-1),
        "starts": starts,
    }

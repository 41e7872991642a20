"""Prompts of any lengths as one row of tokens, without padding: what a packed graph is fed.

Positions restart with every prompt and segment ids tell the prompts apart, so that none sees another. How the packed
graph keeps them apart is its own affair; the names and meanings here are what exporter and engine agree on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.classify.tokenizer import Ids

INPUTS = ("input_ids", "position_ids", "segment_ids", "starts")
"""int64: token ids, positions and segment ids, each [tokens], and where each prompt starts, [prompts]."""


def pack(prompts: Sequence[Ids]) -> dict[str, Ids]:
    """The feed for `prompts`, each [its tokens] and none empty; prompt i has segment id i and row i of logits."""
    lengths = [len(prompt) for prompt in prompts]
    starts = np.cumsum([0, *lengths[:-1]], dtype=np.int64)
    input_ids = np.concatenate(prompts)
    segment_ids = np.repeat(np.arange(len(prompts)), lengths)
    return {
        "input_ids": input_ids,
        "position_ids": np.arange(len(input_ids)) - starts[segment_ids],
        "segment_ids": segment_ids,
        "starts": starts,
    }

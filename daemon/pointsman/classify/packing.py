"""Pack prompts of any length into one row of tokens without padding, the input of a packed graph.

Positions restart with every prompt, and segment ids keep prompts apart, so that none attends to another. Exporter and
engine share the names and meanings defined here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pointsman.classify.tokenizer import Ids

INPUTS = ("input_ids", "position_ids", "segment_ids", "starts")
"""int64: token ids, positions and segment ids, each [tokens], and the start of each prompt, [prompts]."""


def pack(prompts: Sequence[Ids]) -> dict[str, Ids]:
    """Return the feed for non-empty `prompts`; prompt i has segment id i and row i of the logits."""
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

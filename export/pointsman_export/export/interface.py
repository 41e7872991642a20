"""Define the inputs and outputs of a graph, by which exporter, checks and engine recognize its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pointsman.classify import packing

OUTPUT, FEATURES = "logits", "features"
"""The output of a graph; of an encoder without a head, FEATURES alone."""


@dataclass(frozen=True, slots=True)
class Interface:
    """The names and dynamic axes of a graph: `inputs` are int64, the output is float32, [rows, columns]."""

    inputs: Mapping[str, list[str]]
    rows: str

    @property
    def names(self) -> list[str]:
        return list(self.inputs)


PADDED = Interface(
    {name: ["batch_size", "sequence_length"] for name in ("input_ids", "attention_mask")}, rows="batch_size"
)
"""Each prompt is a row, padded to the longest, as optimum exports it."""
PACKED = Interface(dict(zip(packing.INPUTS, [["tokens"]] * 3 + [["prompts"]], strict=True)), rows="prompts")
"""All prompts are packed into one row, as `pointsman.classify.packing` does it."""

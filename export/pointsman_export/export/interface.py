"""What a graph takes and gives: names and dynamic axes, by which exporter, proof and engine know its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pointsman.classify import packing

OUTPUT = "logits"


@dataclass(frozen=True, slots=True)
class Interface:
    """`inputs` are int64, each with its axes; OUTPUT is float32, [rows, labels]."""

    inputs: Mapping[str, list[str]]
    rows: str

    @property
    def names(self) -> list[str]:
        return list(self.inputs)


PADDED = Interface(
    {name: ["batch_size", "sequence_length"] for name in ("input_ids", "attention_mask")}, rows="batch_size"
)
"""Prompts as rows of equal length, as optimum exports it."""
PACKED = Interface(dict(zip(packing.INPUTS, [["tokens"]] * 3 + [["prompts"]], strict=True)), rows="prompts")
"""`pointsman.classify.packing`."""

"""Compute attention over a whole packed row at once, under a mask, as a GPU needs it.

A captured CUDA graph can hold neither branches nor loops, and a GPU can afford the arithmetic that a mask wastes.
"""

from __future__ import annotations

import numpy as np

from pointsman_export.export.graph.linear import Scaled
from pointsman_export.export.graph.rope import Rope
from pointsman_export.export.graph.writer import CONTRIB, Writer

_MASKED = -1e4
"""Score of a masked pair: within float16's range, and its exponential is zero."""


class MaskedAttention:
    """Adds the attention of the float16 layers of one graph.

    Every token sees itself, filler tokens too, so no softmax is over an empty set.
    """

    def __init__(self, writer: Writer, heads: int) -> None:
        self._writer = writer
        self._heads = heads
        self._own = writer.op("Equal", *self._pairs("segment_ids"))
        self._tables: dict[Rope, list[str]] = {}
        self._biases: dict[int | None, str] = {}

    def rotate(self, product: Scaled, rope: Rope) -> str:
        """Apply RoPE to a product without a pending scale; the offset 0 assigns row i of the tables to token i."""
        if rope not in self._tables:
            self._tables[rope] = rope.look_up(self._writer, np.float16)
        inputs = (product.name, self._writer.integers(0), *self._tables[rope])
        return self._writer.op("RotaryEmbedding", *inputs, domain=CONTRIB, num_heads=self._heads)

    def all(self, query: str, key: str, value: str, window: int | None = None) -> str:
        return self._attention(query, key, value, self._bias(window))

    def first(self, query: str, key: str, value: str, window: int | None = None) -> str:
        return self._attention(query, key, value, self._writer.op("Gather", self._bias(window), "starts", axis=2))

    def _attention(self, query: str, key: str, value: str, bias: str) -> str:
        inputs = (query, key, value, "", "", bias)
        return self._writer.op("MultiHeadAttention", *inputs, domain=CONTRIB, num_heads=self._heads)

    def _pairs(self, tensor: str) -> tuple[str, str]:
        """Return [n, 1] and [1, n] of a tensor [n]."""
        op, integers = self._writer.op, self._writer.integers
        return op("Unsqueeze", tensor, integers(1)), op("Unsqueeze", tensor, integers(0))

    def _bias(self, window: int | None) -> str:
        """Return the bias [1, 1, n, n] for what a token sees; each is made once."""
        if window not in self._biases:
            writer = self._writer
            seen, masked = (writer.constant(f"bias/{value}", np.float16(value)) for value in (0, _MASKED))
            bias = writer.op("Where", self._visible(window), seen, masked)
            self._biases[window] = writer.op("Unsqueeze", bias, writer.integers(0, 1))
        return self._biases[window]

    def _visible(self, window: int | None) -> str:
        """Return the mask [n, n]."""
        if window is None:
            return self._own
        op = self._writer.op
        distance = op("Abs", op("Sub", *self._pairs("position_ids")))
        return op("And", self._own, op("LessOrEqual", distance, self._writer.integers(window)))

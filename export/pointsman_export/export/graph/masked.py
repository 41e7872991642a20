"""Compute attention over a whole packed row at once, under a mask, as a GPU needs it.

A captured CUDA graph can hold neither branches nor loops, and a GPU can afford the arithmetic that a mask wastes.
"""

from __future__ import annotations

import numpy as np

from pointsman_export.export.graph import rope
from pointsman_export.export.graph.architecture import Architecture
from pointsman_export.export.graph.linear import Scaled
from pointsman_export.export.graph.writer import CONTRIB, Writer

_MASKED = -1e4
"""Score of a masked pair: within float16's range, and its exponential is zero."""


class MaskedAttention:
    """Adds the attention of the float16 layers of one graph.

    A token sees its own prompt, in local layers no further than the window. Every token sees itself, filler tokens too,
    so no softmax is over an empty set.
    """

    def __init__(self, writer: Writer, form: Architecture) -> None:
        self._writer = writer
        self._heads = form.heads
        op = writer.op
        self._tables = rope.look_up(writer, form, np.float16)
        own = op("Equal", *self._pairs("segment_ids"))
        distance = op("Abs", op("Sub", *self._pairs("position_ids")))
        near = op("And", own, op("LessOrEqual", distance, writer.integers(form.window)))
        self._biases = {True: self._bias(own), False: self._bias(near)}

    def rotate(self, product: Scaled, *, is_global: bool) -> str:
        """Apply RoPE to a product without a pending scale; the offset 0 assigns row i of the tables to token i."""
        inputs = (product.name, self._writer.integers(0), *self._tables[is_global])
        return self._writer.op("RotaryEmbedding", *inputs, domain=CONTRIB, num_heads=self._heads)

    def all(self, query: str, key: str, value: str, *, is_global: bool) -> str:
        return self._attention(query, key, value, self._biases[is_global])

    def first(self, query: str, key: str, value: str, *, is_global: bool) -> str:
        return self._attention(query, key, value, self._writer.op("Gather", self._biases[is_global], "starts", axis=2))

    def _attention(self, query: str, key: str, value: str, bias: str) -> str:
        inputs = (query, key, value, "", "", bias)
        return self._writer.op("MultiHeadAttention", *inputs, domain=CONTRIB, num_heads=self._heads)

    def _pairs(self, tensor: str) -> tuple[str, str]:
        """Return [n, 1] and [1, n] of a tensor [n]."""
        op, integers = self._writer.op, self._writer.integers
        return op("Unsqueeze", tensor, integers(1)), op("Unsqueeze", tensor, integers(0))

    def _bias(self, visible: str) -> str:
        """Return the bias [1, 1, n, n] of a mask [n, n]."""
        writer = self._writer
        seen, masked = (writer.constant(f"bias/{value}", np.float16(value)) for value in (0, _MASKED))
        return writer.op("Unsqueeze", writer.op("Where", visible, seen, masked), writer.integers(0, 1))

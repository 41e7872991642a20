"""Compute attention over a whole packed row at once, under a mask, as a GPU needs it.

A captured CUDA graph can hold neither branches nor loops, and a GPU can afford the arithmetic that a mask wastes. A
local layer wastes little: the row, which has a multiple of BLOCK tokens, is cut into blocks of queries, and each gets
the blocks of keys that its window reaches. No node computes a shape: such nodes run on the CPU, and no CUDA graph can
hold them.
"""

from __future__ import annotations

import numpy as np

from pointsman.classify.packing import GPU_BLOCK as BLOCK
from pointsman_export.export.graph.linear import ScaledTensor
from pointsman_export.export.graph.rope import Rope
from pointsman_export.export.graph.writer import CONTRIB, GraphWriter

_MAX_WINDOW_TOKENS = 512
"""Widest window to each side that is cut into blocks, since a node is needed for each block that it reaches."""
_NOBODY = -2
"""Segment of the keys before the first block and after the last; filler has -1."""
_MASKED = -1e4
"""Score of a masked pair: within float16's range, and its exponential is zero."""
_END = 1 << 62
"""An end of a slice: the last block and all before it."""


class MaskedAttention:
    """A writer of attention for the float16 layers of one graph.

    Every token sees itself, filler tokens too, so no softmax is over an empty set.
    """

    def __init__(self, writer: GraphWriter, heads: int) -> None:
        self._writer = writer
        self._heads = heads
        self._tables: dict[Rope, list[str]] = {}
        self._biases: dict[tuple[int | None, int], str] = {}

    def rotate(self, product: ScaledTensor, rope: Rope) -> str:
        """Apply RoPE to a product without a pending scale; the offset 0 assigns row i of the tables to token i."""
        if rope not in self._tables:
            self._tables[rope] = rope.look_up(self._writer, np.float16)
        inputs = (product.name, self._writer.integers(0), *self._tables[rope])
        return self._writer.op("RotaryEmbedding", *inputs, domain=CONTRIB, num_heads=self._heads)

    def all(self, query: str, key: str, value: str, window: int | None = None) -> str:
        if window is None or window > _MAX_WINDOW_TOKENS:
            return self._attention(query, key, value, self._bias(window))
        op, integers = self._writer.op, self._writer.integers
        reach = max(1, -(-window // BLOCK))
        queries = op("Reshape", query, integers(-1, BLOCK, 0))
        keys, values = (self._reached(tensor, reach) for tensor in (key, value))
        found = self._attention(queries, keys, values, self._bias(window, reach))
        return op("Reshape", found, integers(1, -1, 0))

    def first(self, query: str, key: str, value: str, window: int | None = None) -> str:
        return self._attention(query, key, value, self._writer.op("Gather", self._bias(window), "starts", axis=2))

    def _attention(self, query: str, key: str, value: str, bias: str) -> str:
        inputs = (query, key, value, "", "", bias)
        return self._writer.op("MultiHeadAttention", *inputs, domain=CONTRIB, num_heads=self._heads)

    def _reached(self, tensor: str, reach: int) -> str:
        """Return the part of a tensor [1, n, width] that each block of queries reaches: [blocks, keys, width]."""
        op, integers = self._writer.op, self._writer.integers
        padded = op("Pad", tensor, integers(0, reach * BLOCK, 0, 0, reach * BLOCK, 0))
        return self._with_neighbours(op("Reshape", padded, integers(-1, BLOCK, 0)), reach, axis=1)

    def _with_neighbours(self, blocks: str, reach: int, axis: int) -> str:
        """Join each block, except the outer `reach` on both ends, with that many neighbors per side along `axis`."""
        op, integers = self._writer.op, self._writer.integers
        shifts = (
            op("Slice", blocks, integers(first), integers(first - 2 * reach or _END), integers(0))
            for first in range(2 * reach + 1)
        )
        return op("Concat", *shifts, axis=axis)

    def _bias(self, window: int | None, reach: int = 0) -> str:
        """Return the bias for visible tokens, [1, 1, n, n] or, by block, [blocks, 1, BLOCK, keys].

        Each is made once.
        """
        if (window, reach) not in self._biases:
            writer = self._writer
            seen, masked = (writer.constant(f"bias/{value}", np.float16(value)) for value in (0, _MASKED))
            bias = writer.op("Where", self._visible(window, reach), seen, masked)
            axes = (1,) if reach else (0, 1)
            self._biases[window, reach] = writer.op("Unsqueeze", bias, writer.integers(*axes))
        return self._biases[window, reach]

    def _visible(self, window: int | None, reach: int) -> str:
        """Return the mask [n, n] or, by block, [blocks, BLOCK, keys]."""
        op = self._writer.op
        own = op("Equal", *self._pairs("segment_ids", reach))
        if window is None:
            return own
        distance = op("Abs", op("Sub", *self._pairs("position_ids", reach)))
        return op("And", own, op("LessOrEqual", distance, self._writer.integers(window)))

    def _pairs(self, tensor: str, reach: int) -> tuple[str, str]:
        """Return a tensor [n] for queries, [n, 1], and for keys, [1, n].

        By block, that is [blocks, BLOCK, 1] and [blocks, 1, keys].
        """
        op, integers = self._writer.op, self._writer.integers
        if not reach:
            return op("Unsqueeze", tensor, integers(1)), op("Unsqueeze", tensor, integers(0))
        side = self._writer.constant(f"nobody/{reach}", np.full(reach * BLOCK, _NOBODY, np.int64))
        padded = op("Concat", side, tensor, side, axis=0)  # CUDA has no Pad for integers
        blocks = op("Reshape", padded, integers(-1, 1, BLOCK))
        return op("Reshape", tensor, integers(-1, BLOCK, 1)), self._with_neighbours(blocks, reach, axis=2)

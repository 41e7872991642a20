"""Compute attention inside each prompt of a packed row, without a mask between prompts and without padding.

A prompt's softmax and products are sums over its own tokens, with the same shapes as when the prompt runs alone. With a
mask over the whole row, the order of the sums would depend on the neighbors. The last bits that this changes are enough
to round activations to other int8 values: logits moved by 1e-2.

The prompt's length alone decides which operator computes a layer; the limits were measured with ONNX Runtime 1.32.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pointsman_export.export.graph.linear import ScaledTensor
from pointsman_export.export.graph.rope import Rope
from pointsman_export.export.graph.writer import CONTRIB, GraphWriter

BANDED_ABOVE = 256
"""Tokens above which a local layer is computed in blocks of queries, each with the keys that it can see."""
STREAMED_ABOVE = 512
"""Tokens above which a global layer is computed by an operator that does not keep all scores in memory."""
_MIN_BLOCK_TOKENS = 64
_MASKED = -1e9

Attend = Callable[[str, str, str, str], str]
"""A function that computes attention from query, key and value [1, n, width] and n, shape [1]."""


class PromptAttention:
    """A writer of attention for the float32 layers of one graph, one prompt after another."""

    def __init__(self, writer: GraphWriter, width: int, heads: int) -> None:
        self._writer = writer
        self._width = width
        self._heads = heads
        op = writer.op
        prompts = op("Shape", "starts")
        self._tokens = op("Shape", "input_ids")
        self._count = op("Squeeze", prompts)
        self._several = op("Greater", prompts, writer.integers(1))
        self._ends = op("Concat", op("Slice", "starts", writer.integers(1), prompts), self._tokens, axis=0)
        self._tables: dict[Rope, list[str]] = {}

    def rotate(self, product: ScaledTensor, rope: Rope) -> str:
        """Apply RoPE; it is linear, so a scale is multiplied into the tables, which are as wide as half a head."""
        op = self._writer.op
        if rope not in self._tables:
            rows = rope.look_up(self._writer, np.float32)
            self._tables[rope] = [op("Unsqueeze", table, self._writer.integers(0)) for table in rows]
        tables = self._tables[rope]
        if product.scale is not None:
            tables = [op("Mul", table, product.scale) for table in tables]
        return op("RotaryEmbedding", product.name, *tables, num_heads=self._heads)

    def all(self, query: str, key: str, value: str, window: int | None = None) -> str:
        attend = self._whole if window is None else self._local(window)
        return self._each(query, key, value, attend, lambda _, begin, end: (begin, end))

    def first(self, query: str, key: str, value: str, window: int | None = None) -> str:
        attend = self._dense if window is None else self._start(window)
        one = self._writer.integers(1)
        return self._each(query, key, value, attend, lambda index, *_: (index, self._writer.op("Add", index, one)))

    def _each(
        self,
        query: str,
        key: str,
        value: str,
        attend: Attend,
        queries: Callable[[str, str, str], tuple[str, str]],
    ) -> str:
        """Attend to a single prompt directly, and to several one after another.

        No tensor can hold rows of different lengths.
        """
        writer, op = self._writer, self._writer.op

        def prompt(number: str, before: str) -> str:
            index = op("Unsqueeze", number, writer.integers(0))
            begin, end = op("Gather", "starts", index), op("Gather", self._ends, index)
            own_key, own_value = (self._cut(tensor, begin, end) for tensor in (key, value))
            found = attend(self._cut(query, *queries(index, begin, end)), own_key, own_value, op("Sub", end, begin))
            return op("Concat", before, found, axis=1)

        nothing = writer.constant("nothing", np.zeros((1, 0, self._width), np.float32))
        return writer.choose(
            self._several,
            lambda: writer.repeat(self._count, nothing, prompt),
            lambda: attend(query, key, value, self._tokens),
        )

    def _whole(self, query: str, key: str, value: str, length: str) -> str:
        return self._writer.choose(
            self._longer(length, STREAMED_ABOVE),
            lambda: self._streamed(query, key, value),
            lambda: self._dense(query, key, value, length),
        )

    def _local(self, window: int) -> Attend:
        """Attend inside the window; in up to `window` + 1 tokens, each token sees all others."""

        def attend(query: str, key: str, value: str, length: str) -> str:
            return self._writer.choose(
                self._longer(length, BANDED_ABOVE),
                lambda: self._banded(query, key, value, length, window),
                lambda: self._writer.choose(
                    self._longer(length, window + 1),
                    lambda: self._attention(query, key, value, self._window_bias(length, window)),
                    lambda: self._dense(query, key, value, length),
                ),
            )

        return attend

    def _dense(self, query: str, key: str, value: str, _: str) -> str:
        return self._attention(query, key, value)

    def _start(self, window: int) -> Attend:
        """Attend from a prompt's first token, which sees no further than the window."""
        begin, end = self._writer.integers(0), self._writer.integers(window + 1)
        return lambda query, key, value, _: self._attention(
            query, self._cut(key, begin, end), self._cut(value, begin, end)
        )

    def _banded(self, query: str, key: str, value: str, length: str, window: int) -> str:
        """Attend from blocks of queries, as a batch, to their own blocks of keys and the blocks before and after.

        Rows past the ends are copies of the last or first row: as queries they are cut off, as keys they are masked.
        """
        writer, op = self._writer, self._writer.op
        size = max(_MIN_BLOCK_TOKENS, window)
        before_end = op("Sub", length, writer.integers(1))
        end = op("Squeeze", length)
        begins = op("Unsqueeze", op("Range", writer.integer(0), end, writer.integer(size)), writer.integers(1))
        inside, around = np.arange(size), np.arange(-size, 2 * size)

        def blocks(tensor: str, positions: str, rows: int) -> str:
            return op("Reshape", op("Gather", tensor, positions, axis=1), writer.integers(-1, rows, self._width))

        query_positions = op("Min", op("Add", begins, writer.constant(f"band/{window}/inside", inside)), before_end)
        wanted = op("Add", begins, writer.constant(f"band/{window}/around", around))
        positions = op("Max", op("Min", wanted, before_end), writer.integers(0))
        exists = op("Unsqueeze", op("Equal", wanted, positions), writer.integers(1, 2))
        visible = np.abs(inside[:, None] - around) <= window
        bias = op("Where", exists, writer.constant(f"band/{window}/bias", _bias(visible)), writer.number(_MASKED))
        found = self._attention(
            blocks(query, query_positions, size),
            blocks(key, positions, 3 * size),
            blocks(value, positions, 3 * size),
            bias,
        )
        return self._cut(op("Reshape", found, writer.integers(1, -1, self._width)), writer.integers(0), length)

    def _window_bias(self, length: str, window: int) -> str:
        """Return the bias [n, n]; it is the same for every prompt, so it is cut from a stored one."""
        writer = self._writer
        positions = np.arange(BANDED_ABOVE)
        visible = np.abs(positions[:, None] - positions) <= window
        stored = writer.constant(f"window/{window}/bias", _bias(visible))
        both = writer.op("Concat", length, length, axis=0)
        return writer.op("Slice", stored, writer.integers(0, 0), both)

    def _attention(self, query: str, key: str, value: str, bias: str | None = None) -> str:
        """Use the standard's operator, the fastest one up to 512 tokens.

        Its default scale is 1 / sqrt(width of a head).
        """
        inputs = (query, key, value) if bias is None else (query, key, value, bias)
        return self._writer.op("Attention", *inputs, q_num_heads=self._heads, kv_num_heads=self._heads)

    def _streamed(self, query: str, key: str, value: str) -> str:
        """Use an operator whose CPU kernel, without a mask, iterates over blocks of keys (flash attention)."""
        return self._writer.op("MultiHeadAttention", query, key, value, domain=CONTRIB, num_heads=self._heads)

    def _longer(self, length: str, limit: int) -> str:
        return self._writer.op("Greater", length, self._writer.integers(limit))

    def _cut(self, tensor: str, begin: str, end: str) -> str:
        """Return the rows from `begin` to `end`, shape [1] each, of a tensor [1, rows, width]."""
        return self._writer.op("Slice", tensor, begin, end, self._writer.integers(1))


def _bias(visible: np.ndarray) -> np.ndarray:
    return np.where(visible, 0, _MASKED).astype(np.float32)

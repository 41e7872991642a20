"""Provide the parts from which an architecture builds its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from onnx import TensorProto

from pointsman_export.export.graph.linear import LinearLayers, ScaledTensor
from pointsman_export.export.graph.rope import Rope
from pointsman_export.export.graph.weights import Weights
from pointsman_export.export.graph.writer import GraphWriter
from pointsman_export.export.pooling import Pooling


class Attention(Protocol):
    """A writer of attention for one graph's layers. Tensors are [1, tokens, width].

    A token sees its own prompt, and if `window` is given, no further than `window` tokens to either side.
    """

    def rotate(self, product: ScaledTensor, rope: Rope) -> str:
        """Apply rotary position embeddings to a query or key."""

    def all(self, query: str, key: str, value: str, window: int | None = None) -> str:
        """Attend from every token."""

    def first(self, query: str, key: str, value: str, window: int | None = None) -> str:
        """Attend from the first token of each prompt: [1, prompts, width] for a query of that shape."""


@dataclass(frozen=True, slots=True)
class GraphParts:
    """A writer of nodes to one graph; `weights` are those for the graph, by their names."""

    writer: GraphWriter
    weights: Weights
    linears: LinearLayers
    attention: Attention

    def op(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        return self.writer.op(operator, *inputs, domain=domain, **attributes)

    def weight(self, name: str) -> str:
        """Add an unchanged weight."""
        return self.writer.constant(name, self.weights[name])

    def bias(self, layer: str, product: ScaledTensor) -> str:
        """Add a layer's bias, with the offset of the layer's product."""
        bias = self.weights[f"{layer}.bias"]
        whole = bias if product.offset is None else (bias + product.offset).astype(bias.dtype)
        return self.writer.constant(f"{layer}.bias", whole)

    def norm(self, tensor: str, name: str, epsilon: float) -> str:
        """Add a layer norm, with or without a bias."""
        return self.op("LayerNormalization", tensor, *self._with_bias(name), epsilon=epsilon)

    def rows(self, hidden: str) -> str:
        """Return a layer's output [1, rows, width] as float32 rows: for the sum over a long prompt, and the head."""
        return self.op("Cast", self.op("Squeeze", hidden, self.writer.integers(0)), to=TensorProto.FLOAT)

    def features(self, pooling: Pooling, layers: Sequence[str]) -> str:
        """Make features [prompts, width] of the outputs of the layers that `pooling` reads."""
        rows = [self.rows(layer) for layer in layers]
        joined = self.op("Concat", *rows, axis=-1) if len(rows) > 1 else rows[0]
        pooled = joined if pooling.first else self.mean(joined)
        return self.op("Div", pooled, self.op("ReduceL2", pooled, self.writer.integers(-1))) if pooling.unit else pooled

    def mean(self, rows: str) -> str:
        """Average the tokens [tokens, width] of each prompt: [prompts, width]."""
        last = self.writer.integers(-1)
        own = self.op("Unsqueeze", self.op("Gather", "segment_ids", "starts"), last)
        members = self.op("Cast", self.op("Equal", own, "segment_ids"), to=TensorProto.FLOAT)
        return self.op("Div", self.op("MatMul", members, rows), self.op("ReduceSum", members, last))

    def dense(self, tensor: str, name: str) -> str:
        """Add a linear layer of the head in float, with or without a bias, to rows [prompts, width].

        The head is small and decides between labels.
        """
        return self.op("Gemm", tensor, *self._with_bias(name), transB=1)

    def _with_bias(self, name: str) -> list[str]:
        return [self.weight(part) for part in (f"{name}.weight", f"{name}.bias") if part in self.weights]

"""Build the whole graph: embeddings, layers, pooling, head and classifier."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Protocol

import numpy as np
from onnx import ModelProto, TensorProto, helper

from pointsman_export.export.graph.architecture import Architecture
from pointsman_export.export.graph.attention import PromptAttention
from pointsman_export.export.graph.linear import Activations, Linears, Scaled
from pointsman_export.export.graph.masked import MaskedAttention
from pointsman_export.export.graph.weights import Weights
from pointsman_export.export.graph.writer import CONTRIB, Writer
from pointsman_export.export.interface import OUTPUT, PACKED

_GPU_OPSET = 18
"""Opset of a GPU's graph, for which every ONNX Runtime with CUDA graphs has the kernels.

It is lower than the default, which the CPU's Attention operator needs.
"""


def build_graph(
    form: Architecture, weights: Weights, activations: Activations | None, float_layers: Collection[str] = ()
) -> ModelProto:
    """Build the graph for a CPU, from the packed feed to `logits` [prompts, labels].

    With `activations` None, it is float32 throughout.
    """
    writer = Writer()
    linears = Linears(writer, weights, activations, float_layers)
    return _Encoder(form, weights, writer, linears, PromptAttention(writer, form)).build()


def build_half_graph(form: Architecture, weights: Weights) -> ModelProto:
    """Build the graph for a GPU in float16; the head and the classifier, which decide between labels, stay float32."""
    writer = Writer(_GPU_OPSET)
    with np.errstate(over="ignore"):  # the verification rejects weights beyond float16
        halved: Weights = {
            name: tensor if name.startswith(("head.", "classifier.")) else tensor.astype(np.float16)
            for name, tensor in weights.items()
        }
    return _Encoder(form, halved, writer, Linears(writer, halved, None, ()), MaskedAttention(writer, form)).build()


class Attention(Protocol):
    """Adds the attention of one graph's layers. Tensors are [1, tokens, width]."""

    def rotate(self, product: Scaled, *, is_global: bool) -> str:
        """Apply rotary position embeddings to a query or key."""

    def all(self, query: str, key: str, value: str, *, is_global: bool) -> str:
        """Attend from every token to its own prompt."""

    def first(self, query: str, key: str, value: str, *, is_global: bool) -> str:
        """Attend from the first token of each prompt: [1, prompts, width] for a query of that shape."""


class _Encoder:
    def __init__(
        self, form: Architecture, weights: Weights, writer: Writer, linears: Linears, attention: Attention
    ) -> None:
        self._form = form
        self._weights = weights
        self._writer = writer
        self._op = writer.op
        self._linears = linears
        self._attention = attention

    def build(self) -> ModelProto:
        hidden = self._norm(self._linears.embeddings("input_ids"), "model.embeddings.norm")
        for layer in range(self._form.layers):
            hidden = self._layer(layer, hidden)
        # float32 from here on: the sum over a long prompt, the head and the classifier
        normed = self._op("Cast", self._norm(hidden, "model.final_norm"), to=TensorProto.FLOAT)
        logits = self._classify(self._pool(normed))
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name, axes in PACKED.inputs.items()]
        labels = len(self._weights["classifier.weight"])
        output = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [PACKED.rows, labels])
        return self._writer.model(inputs, output, logits)

    def _layer(self, layer: int, hidden: str) -> str:
        """Return the layer's output [1, tokens, width], or [1, prompts, width] if only first tokens are read of it."""
        name = f"layers.{layer}"
        normed = self._norm(hidden, f"model.{name}.attn_norm") if layer else hidden
        first_only = self._form.pooling == "cls" and layer == self._form.layers - 1
        rows = "starts" if first_only else "input_ids"
        if first_only:
            hidden = self._op("Gather", hidden, "starts", axis=1)
        seen = self._attend(name, normed, is_global=self._form.is_global(layer), first_only=first_only)
        hidden = self._residual(hidden, Scaled(seen), f"{name}.attn.Wo", rows)
        normed = self._norm(hidden, f"model.{name}.mlp_norm")
        inner = self._form.inner
        value, gate = self._linears.products(Scaled(normed), f"{name}.mlp.Wi", rows, range(0, 2 * inner, inner))
        activated = self._op("Gelu", self._linears.value(value), domain=CONTRIB)
        # the gate's scale is per token, so it can be multiplied into the scales of the next layer
        gated = Scaled(self._op("Mul", activated, gate.name), gate.scale)
        return self._residual(hidden, gated, f"{name}.mlp.Wo", rows)

    def _attend(self, name: str, normed: str, *, is_global: bool, first_only: bool) -> str:
        width = self._form.width
        rotate = partial(self._attention.rotate, is_global=is_global)
        if not first_only:
            query, key, value = self._linears.products(
                Scaled(normed), f"{name}.attn.Wqkv", "input_ids", range(0, 3 * width, width)
            )
            inputs = rotate(query), rotate(key), self._linears.value(value)
            return self._attention.all(*inputs, is_global=is_global)
        first = Scaled(self._op("Gather", normed, "starts", axis=1))
        (query,) = self._linears.products(first, f"{name}.attn.Wqkv", "starts", range(0, width, width))
        key, value = self._linears.products(
            Scaled(normed), f"{name}.attn.Wqkv", "input_ids", range(width, 3 * width, width)
        )
        # the first token of a prompt has position 0, where RoPE is the identity
        inputs = self._linears.value(query), rotate(key), self._linears.value(value)
        return self._attention.first(*inputs, is_global=is_global)

    def _residual(self, hidden: str, activation: Scaled, layer: str, rows: str) -> str:
        (product,) = self._linears.products(activation, layer, rows, range(0, self._form.width, self._form.width))
        return self._op("Add", hidden, self._linears.value(product))

    def _norm(self, tensor: str, name: str) -> str:
        parts = [f"{name}.weight", *([f"{name}.bias"] if f"{name}.bias" in self._weights else [])]
        constants = [self._writer.constant(part, self._weights[part]) for part in parts]
        return self._op("LayerNormalization", tensor, *constants, epsilon=self._form.epsilon)

    def _pool(self, hidden: str) -> str:
        """Return the pooled output [prompts, width]."""
        rows = self._op("Squeeze", hidden, self._writer.integers(0))
        if self._form.pooling == "cls":
            return rows
        last = self._writer.integers(-1)
        own = self._op("Unsqueeze", self._op("Gather", "segment_ids", "starts"), last)
        members = self._op("Cast", self._op("Equal", own, "segment_ids"), to=TensorProto.FLOAT)
        return self._op("Div", self._op("MatMul", members, rows), self._op("ReduceSum", members, last))

    def _classify(self, pooled: str) -> str:
        """Add the head and the classifier in float, since they are small and decide between labels."""
        dense = self._op("Gelu", self._gemm(pooled, "head.dense"), domain=CONTRIB)
        return self._gemm(self._norm(dense, "head.norm"), "classifier")

    def _gemm(self, tensor: str, name: str) -> str:
        parts = [f"{name}.weight", *([f"{name}.bias"] if f"{name}.bias" in self._weights else [])]
        constants = [self._writer.constant(part, self._weights[part]) for part in parts]
        return self._op("Gemm", tensor, *constants, transB=1)

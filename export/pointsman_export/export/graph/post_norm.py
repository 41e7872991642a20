"""Build the post-norm encoder of BERT and its descendants: learned positions, biases, a norm after each sum.

Most heads of this family read the first token of a text alone, and so do some encoders without one; then only first
tokens are computed in the last layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pointsman_export.export.graph.architecture import require
from pointsman_export.export.graph.linear import ScaledTensor
from pointsman_export.export.graph.parts import GraphParts
from pointsman_export.export.graph.rounding import Rounding, smooth
from pointsman_export.export.graph.weights import Floats, Weights
from pointsman_export.export.graph.writer import CONTRIB
from pointsman_export.export.pooling import Pooling

_WORDS = "embeddings.word_embeddings"
_POSITIONS = "embeddings.position_embeddings.weight"
_TYPES = "embeddings.token_type_embeddings.weight"
_MIN_GELU = -0.17
"""GELU is nowhere less."""
_FIXED = {"position_embedding_type": "absolute", "is_decoder": False, "pruned_heads": {}}
"""Values that almost every published model has, and that are the config's defaults; no others are supported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerWeights:
    """The names of one layer's weights; `up` and `down` are the matrices around the activation."""

    query: str
    key: str
    value: str
    output: str
    attention_norm: str
    up: str
    down: str
    norm: str


class PostNorm(ABC):
    """The encoder; an architecture names its weights and adds its head.

    `first_position` is the row of the position embeddings that a text's first token has.
    """

    activation = "hidden_act"
    """The config's key for the activation between `up` and `down`."""
    mean = False
    """True if the head reads the mean of a text's tokens."""

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        width: int,
        heads: int,
        layers: list[LayerWeights],
        epsilon: float,
        pooling: Pooling | None,
        first_position: int = 0,
    ) -> None:
        self.pooling = pooling
        self.width = width
        self.heads = heads
        self.positions: int = config["max_position_embeddings"] - first_position
        self._config = config
        self._layers = layers
        self._epsilon = epsilon
        self._first_position = first_position

    @property
    def layers(self) -> list[str]:
        return [
            _WORDS,
            *(
                name
                for layer in self._layers
                for name in (layer.query, layer.key, layer.value, layer.output, layer.up, layer.down)
            ),
        ]

    @property
    def smoothed(self) -> list[str]:
        return [name for layer in self._layers for name in (layer.query, layer.up)]

    def roundings(self, weights: Weights, ranges: Mapping[str, Floats]) -> dict[str, Rounding]:
        """Smooth the layers after a norm, which cannot be folded into the norm, since the residual reads it, too."""
        found = {layer.down: Rounding(least=_MIN_GELU) for layer in self._layers}
        for layer in self._layers if ranges else ():
            for names in ((layer.query, layer.key, layer.value), (layer.up,)):
                rounding = smooth(ranges[names[0]], *(weights[f"{name}.weight"] for name in names))
                found |= dict.fromkeys(names, rounding)
        return found

    def check(self) -> None:
        require(self._config, {self.activation: "gelu", **_FIXED})

    def fold(self, weights: Weights) -> None:
        """Add the embedding of token type 0 to each position's, and remove the biases of keys and values.

        A key's bias adds the same to all scores of a query, which changes no softmax. A value's bias is added unchanged
        to each output of the attention, since a softmax sums to 1, so it can be multiplied into the output's bias.
        """
        if _TYPES in weights:
            weights[_POSITIONS] = weights[_POSITIONS] + weights[_TYPES][0]
            weights[_TYPES] = np.zeros_like(weights[_TYPES])
        for layer in self._layers:
            key, value, output = (f"{name}.bias" for name in (layer.key, layer.value, layer.output))
            moved = weights[f"{layer.output}.weight"].astype(np.float64) @ weights[value]
            weights[output] = (weights[output] + moved).astype(np.float32)
            weights[key], weights[value] = np.zeros_like(weights[key]), np.zeros_like(weights[value])

    def output(self, parts: GraphParts) -> str:
        first = not self.mean if self.pooling is None else self.pooling.first
        outputs = [self._embed(parts)]
        for layer in self._layers:
            outputs.append(self._layer(parts, layer, outputs[-1], first_only=first and layer is self._layers[-1]))
        if self.pooling is not None:
            return parts.features(self.pooling, [outputs[at] for at in self.pooling.depths(len(self._layers))])
        rows = parts.rows(outputs[-1])
        return self._classify(parts, rows if first else parts.mean(rows))

    @abstractmethod
    def _classify(self, parts: GraphParts, pooled: str) -> str:
        """Add the head to one row for each prompt [prompts, width], and return the logits."""

    def _embed(self, parts: GraphParts) -> str:
        table = parts.weights[_POSITIONS][self._first_position :]
        positions = parts.op("Gather", parts.writer.constant(_POSITIONS, table), "position_ids")
        words = parts.linears.embeddings(_WORDS)
        return self._norm_of_sum(parts, "embeddings.LayerNorm", words, positions)

    def _layer(self, parts: GraphParts, layer: LayerWeights, hidden: str, *, first_only: bool) -> str:
        """Return the layer's output [1, tokens, width], or [1, prompts, width] if only first tokens are read of it."""
        linears, attention = parts.linears, parts.attention
        key, value = (
            linears.value(linears.product(ScaledTensor(hidden), name, "input_ids")) for name in (layer.key, layer.value)
        )
        rows = "starts" if first_only else "input_ids"
        if first_only:
            hidden = parts.op("Gather", hidden, "starts", axis=1)
        product = linears.value(linears.product(ScaledTensor(hidden), layer.query, rows))
        query = parts.op("Add", product, parts.weight(f"{layer.query}.bias"))
        attend = attention.first if first_only else attention.all
        seen = attend(query, key, value)
        hidden = self._add(parts, hidden, seen, layer.output, layer.attention_norm, rows)
        up = linears.value(linears.product(ScaledTensor(hidden), layer.up, rows))
        inner = parts.op("BiasGelu", up, parts.weight(f"{layer.up}.bias"), domain=CONTRIB)
        return self._add(parts, hidden, inner, layer.down, layer.norm, rows)

    def _add(self, parts: GraphParts, hidden: str, activation: str, linear: str, norm: str, rows: str) -> str:
        """Add a linear layer of `activation` to `hidden`, and norm the sum."""
        product = parts.linears.product(ScaledTensor(activation), linear, rows)
        return self._norm_of_sum(parts, norm, hidden, parts.linears.value(product), parts.bias(linear, product))

    def _norm_of_sum(self, parts: GraphParts, norm: str, *tensors: str) -> str:
        """Norm a sum.

        ONNX Runtime fuses Add and LayerNormalization into SkipLayerNormalization, whose kernel for CPUs takes eight
        times as long (1.32: 249 us for [128, 384] on one thread, against 30), but it leaves Sum alone.
        """
        return parts.norm(parts.op("Sum", *tensors), norm, self._epsilon)

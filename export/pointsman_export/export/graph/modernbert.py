"""Build ModernBERT classifiers: pre-norm layers with RoPE, most of which see a window of the text."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar

from pointsman_export.common.errors import UnknownFormError
from pointsman_export.export.graph.architecture import require
from pointsman_export.export.graph.linear import ScaledTensor
from pointsman_export.export.graph.parts import GraphParts
from pointsman_export.export.graph.rope import Rope
from pointsman_export.export.graph.rounding import Rounding
from pointsman_export.export.graph.weights import Floats, Weights, balance
from pointsman_export.export.graph.writer import CONTRIB
from pointsman_export.export.pooling import Pooling

_EMBEDDINGS = "embeddings.tok_embeddings"
_LINEARS = ("attn.Wqkv", "attn.Wo", "mlp.Wi", "mlp.Wo")
_FIXED = {
    "hidden_activation": "gelu",
    "classifier_activation": "gelu",
    "attention_bias": False,
    "mlp_bias": False,
}
"""Values that every published ModernBERT has, and that are the config's defaults; no others are supported."""
_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_attention_heads": 12,
    "global_attn_every_n_layers": 3,
    "local_attention": 128,
    "global_rope_theta": 160_000.0,
    "local_rope_theta": 10_000.0,
    "norm_eps": 1e-5,
    "classifier_pooling": "cls",
}


class ModernBert:
    """A ModernBERT classifier.

    Every `global_attn_every_n_layers`-th layer, from the first on, sees the whole text. The others see half of
    `local_attention` tokens to either side.
    """

    classifier: ClassVar[str] = "classifier"
    head: ClassVar[tuple[str, ...]] = ("head.", "classifier.")

    def __init__(self, config: Mapping[str, Any], pooling: Pooling | None = None) -> None:
        self.pooling = pooling
        value = {**_DEFAULTS, **config}
        self.width: int = value["hidden_size"]
        self.heads: int = value["num_attention_heads"]
        self.positions: int = value["max_position_embeddings"]
        self._config = config
        self._count: int = value["num_hidden_layers"]
        self._inner: int = value["intermediate_size"]
        self._every: int = value["global_attn_every_n_layers"]
        self._window: int = value["local_attention"] // 2
        self._epsilon: float = value["norm_eps"]
        self._pooled: str = value["classifier_pooling"]
        self._first = self._pooled == "cls" if pooling is None else pooling.first
        theta: float = value["global_rope_theta"]
        local_theta: float | None = value["local_rope_theta"]
        self._rope = self._rope_of(theta)
        self._local_rope = self._rope_of(theta if local_theta is None else local_theta)

    @property
    def layers(self) -> list[str]:
        return [_EMBEDDINGS, *(f"layers.{layer}.{name}" for layer in range(self._count) for name in _LINEARS)]

    @property
    def smoothed(self) -> list[str]:
        return []

    def roundings(self, weights: Weights, ranges: Mapping[str, Floats]) -> dict[str, Rounding]:
        return {}  # `fold` has the effect of smoothing on its norms

    def check(self) -> None:
        require(self._config, _FIXED)
        if self.pooling is None and self._pooled not in ("cls", "mean"):
            raise UnknownFormError(f"classifier_pooling is {self._pooled!r}, expected 'cls' or 'mean'")

    def fold(self, weights: Weights) -> None:
        """Balance each norm with the layer after it.

        The first layer's attention has no norm of its own, and the norm before it also feeds the residual stream.
        """
        for layer in range(self._count):
            if layer:
                balance(weights, f"layers.{layer}.attn_norm", f"layers.{layer}.attn.Wqkv")
            balance(weights, f"layers.{layer}.mlp_norm", f"layers.{layer}.mlp.Wi")

    def output(self, parts: GraphParts) -> str:
        outputs = [self._norm(parts, parts.linears.embeddings(_EMBEDDINGS), "embeddings.norm")]
        for layer in range(self._count):
            outputs.append(self._layer(parts, layer, outputs[-1]))
        if self.pooling is not None:
            read = [self._norm(parts, outputs[at], "final_norm") for at in self.pooling.depths(self._count)]
            return parts.features(self.pooling, read)
        rows = parts.rows(self._norm(parts, outputs[-1], "final_norm"))
        pooled = rows if self._first else parts.mean(rows)
        dense = parts.op("Gelu", parts.dense(pooled, "head.dense"), domain=CONTRIB)
        return parts.dense(self._norm(parts, dense, "head.norm"), self.classifier)

    def _layer(self, parts: GraphParts, layer: int, hidden: str) -> str:
        """Return the layer's output [1, tokens, width], or [1, prompts, width] if only first tokens are read of it."""
        name = f"layers.{layer}"
        normed = self._norm(parts, hidden, f"{name}.attn_norm") if layer else hidden
        first_only = self._first and layer == self._count - 1
        rows = "starts" if first_only else "input_ids"
        if first_only:
            hidden = parts.op("Gather", hidden, "starts", axis=1)
        seen = self._attend(parts, layer, normed, first_only=first_only)
        hidden = self._residual(parts, hidden, ScaledTensor(seen), f"{name}.attn.Wo", rows)
        normed = self._norm(parts, hidden, f"{name}.mlp_norm")
        value, gate = (
            parts.linears.product(ScaledTensor(normed), f"{name}.mlp.Wi", rows, columns)
            for columns in _blocks(2, self._inner)
        )
        activated = parts.op("Gelu", parts.linears.value(value), domain=CONTRIB)
        # the gate's scale is per token, so it can be multiplied into the scales of the next layer
        gated = ScaledTensor(parts.op("Mul", activated, gate.name), gate.scale)
        return self._residual(parts, hidden, gated, f"{name}.mlp.Wo", rows)

    def _attend(self, parts: GraphParts, layer: int, normed: str, *, first_only: bool) -> str:
        linears, attention = parts.linears, parts.attention
        is_global = layer % self._every == 0
        window = None if is_global else self._window
        rotate = partial(attention.rotate, rope=self._rope if is_global else self._local_rope)
        of_query, of_key, of_value = _blocks(3, self.width)
        product = partial(linears.product, layer=f"layers.{layer}.attn.Wqkv")
        everywhere = partial(product, ScaledTensor(normed), rows="input_ids")
        if not first_only:
            query, key, value = (everywhere(columns=columns) for columns in (of_query, of_key, of_value))
            return attention.all(rotate(query), rotate(key), linears.value(value), window)
        first = ScaledTensor(parts.op("Gather", normed, "starts", axis=1))
        query = product(first, rows="starts", columns=of_query)
        key, value = everywhere(columns=of_key), everywhere(columns=of_value)
        # the first token of a prompt has position 0, where RoPE is the identity
        return attention.first(linears.value(query), rotate(key), linears.value(value), window)

    def _residual(self, parts: GraphParts, hidden: str, activation: ScaledTensor, layer: str, rows: str) -> str:
        return parts.op("Add", hidden, parts.linears.value(parts.linears.product(activation, layer, rows)))

    def _norm(self, parts: GraphParts, tensor: str, name: str) -> str:
        return parts.norm(tensor, name, self._epsilon)

    def _rope_of(self, theta: float) -> Rope:
        return Rope(theta, self.width // self.heads, self.positions)


def _blocks(count: int, width: int) -> list[slice]:
    return [slice(number * width, (number + 1) * width) for number in range(count)]

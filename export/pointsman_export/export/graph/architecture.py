"""The form of a ModernBERT classifier, as far as the graph depends on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pointsman_export.common.errors import UnknownFormError

_FIXED = {
    "hidden_activation": "gelu",
    "classifier_activation": "gelu",
    "attention_bias": False,
    "mlp_bias": False,
}
"""What every published ModernBERT has, as its config's defaults say too; the graph is built for nothing else."""
_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_attention_heads": 12,
    "global_attn_every_n_layers": 3,
    "local_attention": 128,
    "global_rope_theta": 160_000.0,
    "norm_eps": 1e-5,
    "classifier_pooling": "cls",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """`window` is how many positions a token of a local layer sees to either side."""

    layers: int
    width: int
    inner: int
    heads: int
    global_every: int
    window: int
    global_theta: float
    local_theta: float
    positions: int
    epsilon: float
    pooling: str

    def is_global(self, layer: int) -> bool:
        return layer % self.global_every == 0


def architecture(config: Mapping[str, Any]) -> Architecture:
    """Of a config in the words of transformers 4; raises UnknownFormError where the graph would be another."""
    for key, expected in _FIXED.items():
        if config.get(key, expected) != expected:
            raise UnknownFormError(f"{key} is {config[key]!r}, expected {expected!r}")
    value = {**_DEFAULTS, **config}
    if value["classifier_pooling"] not in ("cls", "mean"):
        raise UnknownFormError(f"classifier_pooling is {value['classifier_pooling']!r}, expected 'cls' or 'mean'")
    local_theta = value.get("local_rope_theta", 10_000.0)
    return Architecture(
        layers=value["num_hidden_layers"],
        width=value["hidden_size"],
        inner=value["intermediate_size"],
        heads=value["num_attention_heads"],
        global_every=value["global_attn_every_n_layers"],
        window=value["local_attention"] // 2,
        global_theta=value["global_rope_theta"],
        local_theta=value["global_rope_theta"] if local_theta is None else local_theta,
        positions=value["max_position_embeddings"],
        epsilon=value["norm_eps"],
        pooling=value["classifier_pooling"],
    )

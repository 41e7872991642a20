"""Read the architecture of a ModernBERT classifier, as far as the graph depends on it."""

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
"""Values that every published ModernBERT has, and that are the config's defaults; no others are supported."""
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
    """The sizes of a classifier; `window` is how far a token of a local layer sees to either side, in positions."""

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
    """Return the architecture of a config in the format of transformers 4.

    Raises UnknownFormError if the config needs another graph.
    """
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

"""Build DistilBERT classifiers: no token types, and a pre-classifier replaces the pooler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pointsman_export.export.graph.parts import GraphParts
from pointsman_export.export.graph.post_norm import LayerWeights, PostNorm
from pointsman_export.export.pooling import Pooling


class DistilBert(PostNorm):
    """A DistilBERT classifier."""

    activation = "activation"
    classifier: ClassVar[str] = "classifier"
    head: ClassVar[tuple[str, ...]] = ("pre_classifier.", "classifier.")

    def __init__(self, config: Mapping[str, Any], pooling: Pooling | None = None) -> None:
        super().__init__(
            config,
            width=config["dim"],
            heads=config["n_heads"],
            layers=[_layer(f"transformer.layer.{number}") for number in range(config["n_layers"])],
            epsilon=1e-12,
            pooling=pooling,
        )

    def _classify(self, parts: GraphParts, pooled: str) -> str:
        return parts.dense(parts.op("Relu", parts.dense(pooled, "pre_classifier")), self.classifier)


def _layer(name: str) -> LayerWeights:
    return LayerWeights(
        query=f"{name}.attention.q_lin",
        key=f"{name}.attention.k_lin",
        value=f"{name}.attention.v_lin",
        output=f"{name}.attention.out_lin",
        attention_norm=f"{name}.sa_layer_norm",
        up=f"{name}.ffn.lin1",
        down=f"{name}.ffn.lin2",
        norm=f"{name}.output_layer_norm",
    )

"""Build BERT classifiers, MiniLM among them: on the first token with a pooler, or on the mean of the tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pointsman_export.export.graph.parts import GraphParts
from pointsman_export.export.graph.post_norm import LayerWeights, PostNorm
from pointsman_export.export.pooling import Pooling


class Bert(PostNorm):
    """A BERT classifier."""

    classifier: ClassVar[str] = "classifier"
    head: ClassVar[tuple[str, ...]] = ("pooler.", "classifier.")

    def __init__(self, config: Mapping[str, Any], pooling: Pooling | None = None, first_position: int = 0) -> None:
        super().__init__(
            config,
            width=config["hidden_size"],
            heads=config["num_attention_heads"],
            layers=[_layer(f"encoder.layer.{number}") for number in range(config["num_hidden_layers"])],
            epsilon=config.get("layer_norm_eps", 1e-12),
            pooling=pooling,
            first_position=first_position,
        )

    def _classify(self, parts: GraphParts, pooled: str) -> str:
        return parts.dense(parts.op("Tanh", parts.dense(pooled, "pooler.dense")), self.classifier)


class MeanBert(Bert):
    """A BERT classifier on the mean of a text's tokens, without a pooler."""

    head: ClassVar[tuple[str, ...]] = ("classifier.",)
    mean = True

    def _classify(self, parts: GraphParts, pooled: str) -> str:
        return parts.dense(pooled, self.classifier)


def _layer(name: str) -> LayerWeights:
    return LayerWeights(
        query=f"{name}.attention.self.query",
        key=f"{name}.attention.self.key",
        value=f"{name}.attention.self.value",
        output=f"{name}.attention.output.dense",
        attention_norm=f"{name}.attention.output.LayerNorm",
        up=f"{name}.intermediate.dense",
        down=f"{name}.output.dense",
        norm=f"{name}.output.LayerNorm",
    )

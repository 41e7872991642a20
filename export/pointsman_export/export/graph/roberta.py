"""Build RoBERTa classifiers, XLM-RoBERTa's and CamemBERT's among them: BERT's layers, with another head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pointsman_export.export.graph.bert import Bert
from pointsman_export.export.graph.parts import GraphParts
from pointsman_export.export.pooling import Pooling


class Roberta(Bert):
    """A RoBERTa classifier, whose positions begin after that of the padding token.

    transformers gives a padding token inside a text the padding's position. Here it has a position like any other
    token, since a packed text has no padding, and people do not write `<pad>`.
    """

    classifier: ClassVar[str] = "classifier.out_proj"
    head: ClassVar[tuple[str, ...]] = ("classifier.",)

    def __init__(self, config: Mapping[str, Any], pooling: Pooling | None = None) -> None:
        super().__init__(config, pooling, first_position=config.get("pad_token_id", 1) + 1)

    def _classify(self, parts: GraphParts, pooled: str) -> str:
        return parts.dense(parts.op("Tanh", parts.dense(pooled, "classifier.dense")), self.classifier)

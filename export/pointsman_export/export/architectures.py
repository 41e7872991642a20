"""List what can be exported, by the names of the classes in transformers or of our own."""

from __future__ import annotations

from collections.abc import Mapping

from pointsman_export.export.graph.architecture import Architecture
from pointsman_export.export.graph.bert import Bert, MeanBert
from pointsman_export.export.graph.distilbert import DistilBert
from pointsman_export.export.graph.modernbert import ModernBert
from pointsman_export.export.graph.roberta import Roberta

ARCHITECTURES: Mapping[str, type[Architecture]] = {
    "BertForSequenceClassification": Bert,
    "CamembertForSequenceClassification": Roberta,
    "DistilBertForSequenceClassification": DistilBert,
    "MeanBertForSequenceClassification": MeanBert,
    "ModernBertForSequenceClassification": ModernBert,
    "RobertaForSequenceClassification": Roberta,
    "XLMRobertaForSequenceClassification": Roberta,
}
ENCODERS: Mapping[str, type[Architecture]] = {
    "BertModel": Bert,
    "CamembertModel": Roberta,
    "DistilBertModel": DistilBert,
    "ModernBertModel": ModernBert,
    "RobertaModel": Roberta,
    "XLMRobertaModel": Roberta,
}
"""Without a head. The encoder of a masked language model is one, too."""
MASKED = "ForMaskedLM"

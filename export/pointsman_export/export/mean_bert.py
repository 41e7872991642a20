"""BERT with a linear head on the mean of a text's tokens, which sentence encoders are pretrained to compare."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import BertModel, BertPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class MeanBertForSequenceClassification(BertPreTrainedModel):  # type: ignore[misc]  # transformers has no types
    """The classifier, which transformers has only with a pooler on the first token."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.bert = BertModel(config, add_pooling_layer=False)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None) -> SequenceClassifierOutput:
        """Return logits [texts, labels] for ids and a mask [texts, tokens]."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        mean = mean_of_tokens(self.bert, input_ids, mask)
        return SequenceClassifierOutput(logits=self.classifier(self.dropout(mean)))


def mean_of_tokens(encoder: Any, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean [texts, width] of an encoder's last tokens that are not masked."""
    return mean_of(encoder(input_ids, mask).last_hidden_state, mask)


def mean_of(tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean [texts, width] of tokens [texts, tokens, width] that are not masked."""
    weights = mask[..., None].to(tokens.dtype)
    mean: torch.Tensor = (tokens * weights).sum(1) / weights.sum(1)
    return mean

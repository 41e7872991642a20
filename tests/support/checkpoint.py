"""ModernBERT classifiers with random weights, as `save_pretrained` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from pointsman_export.export.libraries import quiet
from pointsman_export.export.texts import BUILT_IN

with quiet():
    import torch
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

LABELS = [
    *("biology", "business", "chemistry", "computer science", "economics", "engineering", "health"),
    *("history", "law", "math", "other", "philosophy", "physics", "psychology"),
]
SPECIAL_TOKENS = {"pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]"}
TINY = {
    "vocab_size": 8192,
    "hidden_size": 256,
    "intermediate_size": 384,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "max_position_embeddings": 1024,
    "global_rope_theta": 120_000.0,
}
"""The built-in classifier's shape. The theta is not the default one, so that losing it shows."""

BASE: dict[str, Any] = {}
"""ModernBERT-base's shape, which is transformers' default."""


def make_checkpoint(folder: Path, texts: list[str], shape: dict[str, Any]) -> None:
    """Random weights, and a classifier that tells `texts` apart by a margin, as a trained one would."""
    torch.manual_seed(0)
    config = ModernBertConfig(
        **shape,
        classifier_pooling="mean",
        reference_compile=False,
        id2label=dict(enumerate(LABELS)),
        label2id={label: index for index, label in enumerate(LABELS)},
        pad_token_id=0,
        cls_token_id=1,
        bos_token_id=1,
        sep_token_id=2,
        eos_token_id=2,
    )
    model = ModernBertForSequenceClassification.from_pretrained(None, config=config, state_dict=_weights(config)).eval()
    folder.mkdir(parents=True)
    _fit(model, save_tokenizer(folder), texts)
    model.save_pretrained(folder)


def save_tokenizer(folder: Path) -> Tokenizer:
    """A byte-level BPE of the built-in texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        special_tokens=list(SPECIAL_TOKENS.values()),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(BUILT_IN, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in (SPECIAL_TOKENS["cls"], SPECIAL_TOKENS["sep"])]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    tokenizer.save(str(folder / "tokenizer.json"))
    return tokenizer


def edit_json(path: Path, **changes: Any) -> None:
    """Set keys of a JSON file; None removes one."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def _weights(config: ModernBertConfig) -> dict[str, torch.Tensor]:
    """Normal, with norms of one; transformers' own truncated normal takes a minute at ModernBERT-base's shape."""
    with torch.device("meta"):
        shapes = ModernBertForSequenceClassification(config).state_dict()
    return {
        name: torch.ones(value.shape) if "norm" in name else torch.randn(value.shape) * config.initializer_range
        for name, value in shapes.items()
    }


def _fit(model: Any, tokenizer: Tokenizer, texts: list[str]) -> None:
    """Ridge regression from the head's features to the labels in turn; random logits would be as good as tied."""
    with torch.inference_mode():
        features = torch.cat([_features(model, tokenizer.encode(text).ids) for text in texts])
        mean = features.mean(0)
        centred = features - mean
        wanted = 4 * torch.nn.functional.one_hot(torch.arange(len(texts)) % len(LABELS), len(LABELS)).float()
        penalty = 0.01 * (centred @ centred.T).diagonal().mean() * torch.eye(len(texts))
        weight = centred.T @ torch.linalg.solve(centred @ centred.T + penalty, wanted)
        model.classifier.weight.copy_(weight.T)
        model.classifier.bias.copy_(-mean @ weight)


def _features(model: Any, ids: list[int]) -> torch.Tensor:
    hidden = model.model(input_ids=torch.tensor([ids])).last_hidden_state
    return model.head(hidden.mean(1))

"""Build the student, a small ModernBERT that starts as a bag of the sentence encoder's word embeddings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import ModernBertConfig, ModernBertForSequenceClassification, PreTrainedTokenizerFast

from training.data import LABELS

MAX_TOKENS = 512
_WIDTH = 384
_LAYERS = 4
_HEADS = 6
_INTERMEDIATE = 576
_VOCABULARY = 20_480
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_EMBEDDING_STD = 0.3
"""Spread of the word embeddings.

It is large against the learning rate, so that what the encoder knows about rare words outlasts the training.
"""


class Student(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """The classifier, and a projection onto the encoder's embeddings that only the training needs."""

    def __init__(self, classifier: Any, encoder_width: int) -> None:
        super().__init__()
        self.classifier = classifier
        self.projection = nn.Linear(classifier.config.hidden_size, encoder_width)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits [batch, labels] and projected means [batch, width] of ids and mask [batch, tokens]."""
        states = self.classifier.model(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1)
        head = self.classifier.drop(self.classifier.head(mean))
        return self.classifier.classifier(head), self.projection(mean)


def build_tokenizer(encoder: Path, texts: Sequence[str]) -> tuple[PreTrainedTokenizerFast, list[int]]:
    """Return the encoder's tokenizer, less the tokens that `texts` use least, and the kept tokens' former ids."""
    kept = _kept_ids(Tokenizer.from_file(str(encoder / "tokenizer.json")), texts)
    spec = json.loads((encoder / "tokenizer.json").read_text(encoding="utf-8"))
    token_of = {old: token for token, old in spec["model"]["vocab"].items()}
    vocabulary = {token_of[old]: new for new, old in enumerate(kept)}
    spec["model"]["vocab"] = vocabulary
    spec["truncation"] = spec["padding"] = None
    for added in spec["added_tokens"]:
        added["id"] = vocabulary[added["content"]]
    for name, token in spec["post_processor"]["special_tokens"].items():
        token["ids"] = [vocabulary[name]]
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(spec)),
        model_max_length=MAX_TOKENS,
        **{f"{token.strip('[]').lower()}_token": token for token in _SPECIAL},
    )
    return tokenizer, kept


def build_classifier(encoder: Path, kept: list[int]) -> ModernBertForSequenceClassification:
    """Return an untrained classifier whose token embeddings are the encoder's for the tokens `kept`."""
    pad, _, cls, sep, _ = range(len(_SPECIAL))
    config = ModernBertConfig(
        vocab_size=len(kept),
        hidden_size=_WIDTH,
        intermediate_size=_INTERMEDIATE,
        num_hidden_layers=_LAYERS,
        num_attention_heads=_HEADS,
        max_position_embeddings=MAX_TOKENS,
        embedding_dropout=0.1,
        mlp_dropout=0.1,
        classifier_dropout=0.1,
        classifier_pooling="mean",
        problem_type="single_label_classification",
        id2label=dict(enumerate(LABELS)),
        label2id={label: i for i, label in enumerate(LABELS)},
        pad_token_id=pad,
        cls_token_id=cls,
        bos_token_id=cls,
        sep_token_id=sep,
        eos_token_id=sep,
        reference_compile=False,
        attn_implementation="sdpa",
    )
    classifier = ModernBertForSequenceClassification(config)
    words = load_file(encoder / "model.safetensors")["embeddings.word_embeddings.weight"][kept].float()
    with torch.no_grad():
        classifier.model.embeddings.tok_embeddings.weight.copy_(_narrow(words, _WIDTH))
    return classifier


def _kept_ids(tokenizer: Any, texts: Sequence[str]) -> list[int]:
    """Return ids in the encoder's vocabulary: special tokens, single characters, then the others by use in `texts`."""
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    uses: Counter[int] = Counter()
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        uses.update(encoding.ids)
    first = [vocabulary[token] for token in _SPECIAL]
    # Every printable ASCII character is kept, so that no plain word becomes [UNK].
    characters = sorted(i for t, i in vocabulary.items() if len(t.removeprefix("##")) == 1 and t.isascii())
    by_use = sorted(vocabulary.values(), key=lambda i: (-uses[i], i))
    return list(dict.fromkeys([*first, *characters, *by_use]))[:_VOCABULARY]


def _narrow(words: Tensor, width: int) -> Tensor:
    """Project `words` [vocabulary, any] onto their first `width` principal axes, scaled to `_EMBEDDING_STD`."""
    centred = words - words.mean(0)
    _, axes = torch.linalg.eigh(centred.T @ centred)
    narrow = centred @ axes[:, -width:]
    # A random rotation spreads the variance over all dimensions, since layer norm and attention heads expect that.
    turn, _ = torch.linalg.qr(torch.randn(width, width))
    narrow = narrow @ turn
    return narrow * (_EMBEDDING_STD / narrow.std())

"""Fine-tune the sentence encoder on the labelled rows; it is the teacher's best judge."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from training.augment import retype
from training.data import LABELS, Row, batches, repeated
from training.loop import Progress, resume, save, set_learning_rate

Floats: TypeAlias = NDArray[np.float32]

_MAX_TOKENS = 128
_BATCH_TOKENS = 2048
_EPOCHS = 2
_LEARNING_RATE, _HEAD_LEARNING_RATE = 1e-4, 1e-3
_SMOOTHING = 0.05


class Judge(nn.Module):  # type: ignore[misc]  # torch is untyped here
    """An encoder and a linear head on the mean of its last hidden states."""

    def __init__(self, encoder: Any) -> None:
        super().__init__()
        self.encoder = encoder
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(encoder.config.hidden_size, len(LABELS))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the logits [batch, labels] of ids and mask [batch, tokens]."""
        states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        logits: Tensor = self.head(self.drop((states * weights).sum(1) / weights.sum(1)))
        return logits


def tuned_opinions(train: Sequence[Row], texts: Sequence[str], encoder: Path, state: Path, seed: int) -> Floats:
    """Return the probabilities [n, labels] of `texts` by an encoder that was fine-tuned on `train`.

    None of `texts` may be in `train`. `state` is written after every epoch, and a stopped run resumes from it.
    """
    torch.manual_seed(seed)
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    judge = Judge(AutoModel.from_pretrained(encoder, add_pooling_layer=False))
    groups = [
        {"params": list(judge.encoder.parameters()), "peak": _LEARNING_RATE},
        {"params": list(judge.head.parameters()), "peak": _HEAD_LEARNING_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    for epoch in range(resume(state, judge, optimizer), _EPOCHS):
        _run_epoch(judge, optimizer, tokenizer, train, epoch, random.Random(f"{seed}-{epoch}"))  # noqa: S311
        save(state, judge, optimizer, epoch + 1)
    return _opinions(judge, tokenizer, texts)


def _run_epoch(
    judge: Judge, optimizer: Any, tokenizer: Any, train: Sequence[Row], epoch: int, rng: random.Random
) -> None:
    torch.manual_seed(rng.getrandbits(32))
    rows = [train[i] for i in repeated(train)]
    labels = torch.tensor([LABELS.index(row.label) for row in rows])
    ids = _tokenized(tokenizer, [retype(row.text, rng) for row in rows])
    plan = batches([len(one) for one in ids], _BATCH_TOKENS, rng)
    progress = Progress(f"encoder, epoch {epoch + 1}", len(plan))
    judge.train()
    for step, chosen in enumerate(plan, 1):
        set_learning_rate(optimizer, (epoch + step / len(plan)) / _EPOCHS)
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in chosen]}, return_tensors="pt")
        with torch.autocast("cpu", torch.bfloat16):
            logits = judge(inputs["input_ids"], inputs["attention_mask"])
        loss = nn.functional.cross_entropy(logits.float(), labels[chosen], label_smoothing=_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimizer.step()
        progress.step(float(loss))


def _opinions(judge: Judge, tokenizer: Any, texts: Sequence[str]) -> Floats:
    ids = _tokenized(tokenizer, texts)
    found = np.empty((len(ids), len(LABELS)), np.float32)
    judge.eval()
    for chosen in batches([len(one) for one in ids], 4 * _BATCH_TOKENS, random.Random(0)):  # noqa: S311
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in chosen]}, return_tensors="pt")
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            logits = judge(inputs["input_ids"], inputs["attention_mask"])
        found[chosen] = logits.float().softmax(-1).numpy()
    return found


def _tokenized(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(list(texts), truncation=True, max_length=_MAX_TOKENS)["input_ids"]
    return ids

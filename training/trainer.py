"""Train the student for one epoch after another."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from training.augment import Pool, augment
from training.data import LABELS, Row, batches
from training.loop import Progress, resume, save, set_learning_rate
from training.student import MAX_TOKENS, Student
from training.teacher import Lessons

_TRAIN_TOKENS = 256
_BATCH_TOKENS = 2048
_TOKEN_DROPOUT = 0.1
_SMOOTHING = 0.05
_EMBEDDING_LOSS = 2.0
"""Weight of `1 - cosine` to the encoder's embedding, relative to the cross entropy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of the command line."""

    epochs: int
    learning_rate: float
    unlabelled_per_epoch: int
    seed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids and mask [batch, tokens], targets [batch, labels], encoder embeddings [batch, width]."""

    ids: Tensor
    mask: Tensor
    targets: Tensor
    embeddings: Tensor


class Trainer:
    """One training run: a student, its optimizer, and its position in the schedule."""

    def __init__(self, student: Student, tokenizer: Any, settings: Settings, state: Path) -> None:
        self.student = student
        self.tokenizer = tokenizer
        self.settings = settings
        self.state = state
        groups = [{**group, "peak": settings.learning_rate} for group in _decayed(student)]
        self.optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self.epoch = resume(state, student, self.optimizer)

    def run_epoch(self, rows: Sequence[Row], lessons: Lessons, pool: Pool) -> None:
        """Train on `rows` once; the epoch's number is the seed, so a resumed run repeats what it would have done."""
        rng = random.Random(f"{self.settings.seed}-{self.epoch}")  # noqa: S311
        torch.manual_seed(rng.getrandbits(32))
        texts = [augment(row, pool, rng) for row in rows]
        ids = self.tokenizer(texts, truncation=True, max_length=_TRAIN_TOKENS)["input_ids"]
        plan = batches([len(one) for one in ids], _BATCH_TOKENS, rng)
        self.student.train()
        progress = Progress(f"epoch {self.epoch + 1}", len(plan))
        for step, chosen in enumerate(plan, 1):
            set_learning_rate(self.optimizer, (self.epoch + step / len(plan)) / self.settings.epochs)
            progress.step(self._step(self._batch([ids[i] for i in chosen], lessons, chosen)))
        self.epoch += 1
        save(self.state, self.student, self.optimizer, self.epoch)

    def _step(self, batch: Batch) -> float:
        with torch.autocast("cpu", torch.bfloat16):
            logits, means = self.student(batch.ids, batch.mask)
        labels = nn.functional.cross_entropy(logits.float(), batch.targets, label_smoothing=_SMOOTHING)
        cosine = nn.functional.cosine_similarity(means.float(), batch.embeddings).mean()
        loss = labels + _EMBEDDING_LOSS * (1 - cosine)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        return float(loss)

    def _batch(self, ids: list[list[int]], lessons: Lessons, chosen: list[int]) -> Batch:
        padded = self.tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        tokens, mask = padded["input_ids"], padded["attention_mask"]
        lost = (torch.rand(tokens.shape) < _TOKEN_DROPOUT) & (tokens >= len(self.tokenizer.all_special_ids))
        return Batch(
            tokens.masked_fill(lost, self.tokenizer.mask_token_id),
            mask,
            torch.from_numpy(lessons.probabilities[chosen]),
            torch.from_numpy(lessons.embeddings[chosen]),
        )


def predict(classifier: Any, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """Return the probabilities [n, labels] of `texts`."""
    ids = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS)["input_ids"]
    found = torch.empty(len(ids), len(LABELS))
    classifier.eval()
    for chosen in batches([len(one) for one in ids], 4 * _BATCH_TOKENS, random.Random(0)):  # noqa: S311
        inputs = tokenizer.pad({"input_ids": [ids[i] for i in chosen]}, return_tensors="pt")
        with torch.inference_mode():
            logits = classifier(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        found[chosen] = logits.softmax(-1)
    return found


def _decayed(student: nn.Module) -> list[dict[str, Any]]:
    """Return the parameter groups: weight decay for the matrices, none for norms, biases and embeddings."""
    named = list(student.named_parameters())
    matrices = [p for name, p in named if p.ndim > 1 and "tok_embeddings" not in name]
    rest = [p for name, p in named if p.ndim < 2 or "tok_embeddings" in name]
    return [{"params": matrices, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]

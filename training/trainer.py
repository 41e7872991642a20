"""Fine-tune a classifier, in steps from which a stopped run continues."""

from __future__ import annotations

import copy
import math
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import nn

from pointsman_export.export.mean_bert import mean_of_tokens
from training.adapters import Fleet, FleetBatch, draw
from training.augment import augment
from training.batches import MAX_TEXT_TOKENS, batches, tokenize
from training.corpus import sample
from training.data import EXAMS, LABELS, CannotTrain, TrainingText
from training.fleet_loss import FleetLoss
from training.model import means_of_layers
from training.wrap import TASKS, Pool

_SMOOTHING = 0.1
_WEIGHT_DECAY = 0.01
_FLEET_RATE = 3e-3
"""Learning rate of the scales and middles of `FleetLoss`."""
_HEAD_RATE = 5
"""Learning rate of the head, which is not pretrained, relative to the encoder's."""
_KEEP = 1.0
"""Weight of the cosine of a text's features with those of its bare question before the training.

`fit` needs such features for other labels, whatever text is around the question.
"""
_WARMUP = 0.06
_FLEET_BATCH_TOKENS = 512
_LOG_STEPS = 50


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of a run that change its result."""

    epochs: int
    learning_rate: float
    seed: int
    fleets: int
    """Batches of adapters in an epoch."""
    share: float = 1.0
    """Part of an epoch's rows and fleets that each epoch reads."""
    group: int = 0
    """What is held out (`training.held_out`)."""


class Trainer:
    """One training run: a model, its optimizer, and the position in the schedule, stored in the file `state`.

    Raises CannotTrain if `state` is of a run that was `made_of` something else.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: Settings,
        state: Path,
        made_of: Mapping[str, Any],
        save_seconds: float = 60.0,
    ) -> None:
        self.model = model
        self._pretrained = copy.deepcopy(model.bert).eval().requires_grad_(False)
        self._before: dict[tuple[int, ...], torch.Tensor] = {}
        self._tokenizer = tokenizer
        self._settings = settings
        self._state = state
        self._made_of = dict(made_of)
        self._save_seconds = save_seconds
        self._fleet_loss = FleetLoss(2 * model.config.hidden_size)
        groups = [*_groups(model, settings.learning_rate), _group(self._fleet_loss, _FLEET_RATE)]
        self._optimizer = torch.optim.AdamW(groups, fused=True)
        self._epoch, self._step = 0, 0
        self._saved = time.monotonic()
        if state.exists():
            self._resume()

    def run(self, rows: Sequence[TrainingText], pool: Pool, fleets: Sequence[Fleet] = ()) -> None:
        """Train to the end of the schedule; after a stop, repeat nothing but the last minute."""
        while self._epoch < self._settings.epochs:
            self._run_epoch(rows, pool, fleets)

    def _run_epoch(self, rows: Sequence[TrainingText], pool: Pool, fleets: Sequence[Fleet]) -> None:
        # The epoch's number seeds it, so that a resumed run makes the same batches again.
        rng = random.Random(f"{self._settings.seed}-{self._epoch}")  # noqa: S311
        chosen = sample(rows, rng)
        chosen = rng.sample(chosen, round(len(chosen) * self._settings.share))
        labels = torch.tensor([LABELS.index(row.label) for row in chosen])
        texts = [augment(row, pool, rng) for row in chosen]
        bare = [text if row.source == TASKS else row.text for row, text in zip(chosen, texts, strict=True)]
        ids = tokenize(self._tokenizer, texts, MAX_TEXT_TOKENS)
        bare_ids = tokenize(self._tokenizer, bare, MAX_TEXT_TOKENS)
        ordinary = [row.text for row in rows if row.source not in EXAMS]
        fleet_batches = round(self._settings.fleets * self._settings.share) if fleets else 0
        plan: list[list[int] | FleetBatch] = [*batches([len(one) for one in ids], rng)]
        plan += [draw(fleets, ordinary, rng) for _ in range(fleet_batches)]
        rng.shuffle(plan)
        self.model.train()
        losses = []
        for batch in plan[self._step :]:
            self._step += 1
            self._set_learning_rate((self._epoch + self._step / len(plan)) / self._settings.epochs)
            if isinstance(batch, FleetBatch):
                losses.append(self._step_on(self._loss_of_fleet(batch)))
            else:
                some = [ids[i] for i in batch], [bare_ids[i] for i in batch]
                losses.append(self._step_on(self._loss_of_rows(*some, labels[batch])))
            if self._step % _LOG_STEPS == 0 or self._step == len(plan):
                print(f"epoch {self._epoch + 1}: {self._step}/{len(plan)} loss {fmean(losses):.4f}", file=sys.stderr)
                losses.clear()
            if time.monotonic() - self._saved >= self._save_seconds:
                self._save()
        self._epoch, self._step = self._epoch + 1, 0
        self._save()

    def _loss_of_rows(self, ids: list[list[int]], bare_ids: list[list[int]], labels: torch.Tensor) -> torch.Tensor:
        with _autocast():
            mean = mean_of_tokens(self.model.bert, *self._padded(ids))
            logits = self.model.classifier(mean)
        similarity = nn.functional.cosine_similarity(mean.float(), self._features_before(bare_ids)).mean()
        return nn.functional.cross_entropy(logits.float(), labels, label_smoothing=_SMOOTHING) - _KEEP * similarity

    def _loss_of_fleet(self, batch: FleetBatch) -> torch.Tensor:
        texts = [*batch.descriptions, *batch.prompts, *batch.outside, *batch.ordinary]
        ids = tokenize(self._tokenizer, texts, MAX_TEXT_TOKENS // 2)
        features = self._features(ids)
        last = slice(self.model.config.hidden_size, None)
        similarity = nn.functional.cosine_similarity(features[:, last], self._features_before(ids)).mean()
        sizes = [len(some) for some in (batch.descriptions, batch.prompts, batch.outside, batch.ordinary)]
        descriptions, prompts, outside, ordinary = features.split(sizes)
        grouped = prompts.view(len(descriptions), -1, features.shape[1])
        loss: torch.Tensor = self._fleet_loss(descriptions, grouped, outside, ordinary) - _KEEP * similarity
        return loss

    def _features(self, ids: list[list[int]]) -> torch.Tensor:
        """Return what described categories are told apart by [texts, 2 * width]: middle layer, then last."""
        found: list[Any] = [None] * len(ids)
        for batch in _batches_of_fleet(ids):
            with _autocast():
                means = means_of_layers(self.model.bert, *self._padded([ids[i] for i in batch]))
            for i, row in zip(batch, means, strict=True):
                found[i] = row
        return torch.stack(found).float()

    def _features_before(self, ids: list[list[int]]) -> torch.Tensor:
        """Return the means of the tokens [texts, width] before the training; each text is computed once in a run."""
        missing = [list(one) for one in {tuple(one) for one in ids} - self._before.keys()]
        for batch in _batches_of_fleet(missing):
            some = [missing[i] for i in batch]
            with torch.no_grad(), _autocast():
                means = mean_of_tokens(self._pretrained, *self._padded(some)).float()
            self._before.update(zip(map(tuple, some), means, strict=True))
        return torch.stack([self._before[tuple(one)] for one in ids])

    def _step_on(self, loss: torch.Tensor) -> float:
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self._optimizer.step()
        value: float = loss.item()
        return value

    def _padded(self, ids: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the ids and the attention mask of a batch, both [n, longest]."""
        inputs = self._tokenizer.pad({"input_ids": ids}, return_tensors="pt")
        return inputs["input_ids"], inputs["attention_mask"]

    def _set_learning_rate(self, progress: float) -> None:
        """Set the rates at `progress`, 0 to 1 over the whole run: a linear rise to each group's peak, a cosine to 0."""
        rest = max(0.0, progress - _WARMUP) / (1 - _WARMUP)
        factor = min(progress / _WARMUP, (1 + math.cos(math.pi * rest)) / 2)
        for group in self._optimizer.param_groups:
            group["lr"] = group["peak"] * factor

    def _save(self) -> None:
        """Write the state; if interrupted, the previous one stays."""
        fresh = self._state.with_suffix(".new")
        state = {"model": self.model.state_dict(), "fleets": self._fleet_loss.state_dict()}
        state |= {"optimizer": self._optimizer.state_dict()}
        torch.save({**state, "epoch": self._epoch, "step": self._step, "made_of": self._made_of}, fresh)
        fresh.replace(self._state)
        self._saved = time.monotonic()

    def _resume(self) -> None:
        saved = torch.load(self._state, weights_only=True)
        if saved["made_of"] != self._made_of:
            raise CannotTrain(
                f"{self._state}: was written with other settings or data; remove it, or choose another output"
            )
        self.model.load_state_dict(saved["model"])
        self._fleet_loss.load_state_dict(saved["fleets"])
        self._optimizer.load_state_dict(saved["optimizer"])
        self._epoch, self._step = saved["epoch"], saved["step"]
        print(f"{self._state}: resumed in epoch {self._epoch + 1} after step {self._step}", file=sys.stderr)


def _autocast() -> torch.autocast:
    """Return a context that computes in bfloat16 where the CPU does: where it does not, that takes 20 times as long."""
    return torch.autocast("cpu", torch.bfloat16, enabled=bool(torch.cpu.get_capabilities()["avx512_bf16"]))


def _batches_of_fleet(ids: list[list[int]]) -> list[list[int]]:
    """Return batches of indices into `ids`, small ones: so few texts differ much in length, and would be padded."""
    return batches([len(one) for one in ids], random.Random(0), _FLEET_BATCH_TOKENS)  # noqa: S311


def _group(module: nn.Module, rate: float) -> dict[str, Any]:
    return {"params": [*module.parameters()], "peak": rate, "weight_decay": 0.0}


def _groups(model: Any, rate: float) -> list[dict[str, Any]]:
    """Return the parameters by their peak learning rate and weight decay: none for norms and biases."""
    found: dict[tuple[float, float], list[Any]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            peak = rate * (_HEAD_RATE if name.startswith("classifier") else 1)
            decay = _WEIGHT_DECAY if parameter.ndim > 1 else 0.0
            found.setdefault((peak, decay), []).append(parameter)
    return [{"params": some, "peak": peak, "weight_decay": decay} for (peak, decay), some in found.items()]

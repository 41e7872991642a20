"""Provide what two trainings share, that of the student and that of its teacher's encoder."""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm  # type: ignore[import-untyped]

from training.data import LABELS, Row

_WARMUP = 0.06
_LOG_EVERY = 100


class Progress:
    """Shows the steps of one epoch on stderr: a bar on a terminal, else a line every `_LOG_EVERY` steps."""

    def __init__(self, name: str, steps: int) -> None:
        self._name, self._steps = name, steps
        self._bar = tqdm(total=steps, desc=name) if sys.stderr.isatty() else None
        self._losses: list[float] = []
        self._step, self._started = 0, time.monotonic()

    def step(self, loss: float) -> None:
        """Count one more step with its loss; the loss that is shown is the mean since the last one shown."""
        self._step += 1
        self._losses.append(loss)
        done = self._step == self._steps
        if self._step % _LOG_EVERY == 0 or done:
            mean = sum(self._losses) / len(self._losses)
            self._losses.clear()
            if self._bar is None:
                seconds = time.monotonic() - self._started
                line = f"{self._name} {self._step}/{self._steps} loss {mean:.4f} {seconds:.0f} s"
                print(line, file=sys.stderr, flush=True)
            else:
                self._bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
        if self._bar is not None:
            self._bar.update()
            if done:
                self._bar.close()


def set_learning_rate(optimizer: Any, progress: float) -> None:
    """Set the learning rate at `progress` (0 to 1 over the whole run): warm up to a group's `peak`, then decay to 0.

    The warm-up is linear, the decay a cosine.
    """
    rest = max(0.0, progress - _WARMUP) / (1 - _WARMUP)
    factor = min(progress / _WARMUP, (1 + math.cos(math.pi * rest)) / 2)
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * factor


def save(path: Path, model: nn.Module, optimizer: Any, epoch: int) -> None:
    """Write the state after `epoch`; if interrupted, the previous state stays."""
    fresh = path.with_suffix(".new")
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch}, fresh)
    fresh.replace(path)


def resume(path: Path, model: nn.Module, optimizer: Any) -> int:
    """Load the state in `path`, if there is one, and return the number of finished epochs."""
    if not path.exists():
        return 0
    saved = torch.load(path, weights_only=True)
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    epoch: int = saved["epoch"]
    print(f"{path.name}: resumed after epoch {epoch}", flush=True)
    return epoch


def accuracy_by_source(rows: Sequence[Row], best: Sequence[int]) -> str:
    """Format the share of `rows` whose label has its index in `best`: for all rows, then for each source."""
    right: dict[str, list[bool]] = defaultdict(list)
    for row, label in zip(rows, best, strict=True):
        for kind in ("all", row.source):
            right[kind].append(LABELS[label] == row.label)
    return ", ".join(f"{kind} {sum(hits) / len(hits):.3f} ({len(hits)})" for kind, hits in right.items())

"""Compute this host's limits from the cost curve."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence
from pathlib import Path

from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.classify.cost_model import Curve
from pointsman.config.model import ClassifierOptions


def measured(model: Path) -> tuple[Curve, int]:
    """Return the cost curve, which later daemons reuse, and the resulting default deadline in ms."""
    with contextlib.closing(Classifier(artifact.load(model), ClassifierOptions())) as classifier:
        return classifier.curve, classifier.settings()["deadline_ms"]


def prompts_per_second(curve: Curve, lengths: Sequence[int]) -> float:
    """Return the throughput if all workers are always busy and short prompts share runs."""
    shared = curve.batch_tokens
    costs = [
        curve.seconds(tokens) if tokens > shared else curve.seconds(shared) * tokens / shared for tokens in lengths
    ]
    return curve.workers / statistics.mean(costs)

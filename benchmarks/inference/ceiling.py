"""What the cost curve says that this host can do."""

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
    """The curve, which is kept for the daemons that start next, and the default deadline in ms that follows from it."""
    with contextlib.closing(Classifier(artifact.load(model), ClassifierOptions())) as classifier:
        return classifier.curve, classifier.settings()["deadline_ms"]


def prompts_per_second(curve: Curve, lengths: Sequence[int]) -> float:
    """When all workers are always busy, and prompts that are short enough share runs."""
    shared = curve.batch_tokens
    costs = [
        curve.seconds(tokens) if tokens > shared else curve.seconds(shared) * tokens / shared for tokens in lengths
    ]
    return curve.workers / statistics.mean(costs)

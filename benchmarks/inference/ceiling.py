"""What the daemon's own cost curve says that this host can do."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import msgspec

from pointsman.classify.cost import Curve


def stored_curve(artifact: Path) -> Curve | None:
    """The curve that a daemon measured at its start; None where the host was too busy for it to be kept."""
    files = sorted(artifact.glob("cost-*.json"), key=lambda file: file.stat().st_mtime)
    return msgspec.convert(msgspec.json.decode(files[-1].read_bytes())["curve"], Curve) if files else None


def prompts_per_second(curve: Curve, lengths: Sequence[int]) -> float:
    """When all workers are always busy, and prompts that are short enough share runs."""
    shared = curve.batch_tokens
    costs = [
        curve.seconds(tokens) if tokens > shared else curve.seconds(shared) * tokens / shared for tokens in lengths
    ]
    return curve.workers / statistics.mean(costs)

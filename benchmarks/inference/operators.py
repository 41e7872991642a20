"""Profile our graph by operator with ONNX Runtime."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from inference.worker import VOCABULARY
from pointsman.classify.packing import pack
from pointsman.classify.runtime import sum_exactly

RUNS = 3
CONTROL_FLOW = {"If", "Loop"}
"""Their time is that of the operators inside, which are listed, too."""


def profile(model: Path, tokens: int) -> dict[str, float]:
    """Return milliseconds by operator for one prompt on one thread, after a warm-up run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    sum_exactly(options)
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feed = pack([np.random.default_rng(tokens).integers(3, VOCABULARY, tokens)])
        for _ in range(1 + RUNS):
            session.run(None, feed)
        return by_operator(json.loads(Path(session.end_profiling()).read_text()))


def by_operator(events: list[dict[str, Any]]) -> dict[str, float]:
    """Return mean milliseconds per run, highest first; `events` are those of more than one run."""
    begun = sorted(event["ts"] for event in events if event["name"] == "model_run")[1:]
    spent: Counter[str] = Counter()
    for event in events:
        operator = event.get("args", {}).get("op_name")
        if event["name"].endswith("_kernel_time") and operator not in CONTROL_FLOW and event["ts"] >= begun[0]:
            spent[operator] += event["dur"]
    return {operator: round(micros / 1000 / len(begun), 3) for operator, micros in spent.most_common()}

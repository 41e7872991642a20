"""Measure what exact sums of int8 products change in the built-in's answers, and what they cost on this CPU.

Both ways are forced here; the daemon chooses by the CPU, see `sum_exactly`.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from inference.workplace import Workplace
from pointsman.classify import cpu, packing
from pointsman.classify.artifact import BUILTIN, read_manifest
from pointsman.classify.engine import softmax
from pointsman.classify.manifest import MODEL, TOKENIZER
from pointsman.classify.runtime import EXACT_SUMS
from pointsman.classify.tokenizer import Tokenizer, Window
from pointsman_export.export.texts import BUILT_IN as TEXTS

WAYS = {"cut off": "0", "exact": "1"}
"""Values of EXACT_SUMS."""
TOKENS = (16, 64, 256, 512)
ROUNDS = 15
FAR = 0.05
"""Of a probability; a known text may differ by no more for an artifact to serve."""

Logits = np.ndarray[Any, np.dtype[np.float32]]


def measure(work: Workplace, share: float) -> dict[str, Any]:
    """Return `vnni`, what changes in the built-in's answers, and `ms` by model, tokens and way, round by round."""
    models = {"built-in": BUILTIN, "base": work.model("int8-token")}
    return {
        "vnni": cpu.has_vnni(),
        "missing": [name for name, folder in models.items() if not folder.exists()],
        "answers": _answers(),
        "ms": {name: _times(folder, share) for name, folder in models.items() if folder.exists()},
    }


def changes(found: Logits, exact: Logits, temperature: float) -> dict[str, float]:
    """Compare logits [texts, labels]: relative error, shares of texts, and by how much a probability is off at most."""
    scale = np.float32(temperature)
    moved = np.abs(softmax(found / scale) - softmax(exact / scale)).max(axis=1)
    return {
        "texts": len(exact),
        "relative_error": round(float(np.linalg.norm(found - exact) / np.linalg.norm(exact)), 4),
        "labels_changed": round(float((found.argmax(axis=1) != exact.argmax(axis=1)).mean()), 4),
        "far": round(float((moved > FAR).mean()), 4),
        "furthest": round(float(moved.max()), 4),
    }


def _answers() -> dict[str, float]:
    manifest = read_manifest(BUILTIN)
    encoded = Tokenizer(BUILTIN / TOKENIZER).encode(list(TEXTS), Window.even(manifest.max_tokens))
    logits = {
        way: np.concatenate([session.run(None, packing.pack([one.ids]))[0] for one in encoded])
        for way, session in _sessions(BUILTIN).items()
    }
    return changes(logits["cut off"], logits["exact"], manifest.temperature)


def _times(folder: Path, share: float) -> dict[str, dict[str, list[float]]]:
    sessions = _sessions(folder)
    found: dict[str, dict[str, list[float]]] = {}
    for tokens in TOKENS:
        feed = packing.pack([np.random.default_rng(tokens).integers(3, 2000, tokens)])
        for session in sessions.values():
            session.run(None, feed)
        cell: dict[str, list[float]] = {way: [] for way in sessions}
        for number in range(max(1, round(ROUNDS * share))):
            turns = [*sessions.items()]
            for way, session in turns[number % 2 :] + turns[: number % 2]:
                started = time.perf_counter()
                session.run(None, feed)
                cell[way].append(round((time.perf_counter() - started) * 1000, 4))
        found[str(tokens)] = cell
    return found


def _sessions(folder: Path) -> dict[str, Any]:
    def opened(value: str) -> Any:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry(EXACT_SUMS, value)
        return onnxruntime.InferenceSession(folder / MODEL, options, providers=["CPUExecutionProvider"])

    return {way: opened(value) for way, value in WAYS.items()}

"""Measure the built-in classifier's graph: one prompt at a time, on one thread and on two, which take turns."""

from __future__ import annotations

import contextlib
from typing import Any

from inference.batch1 import PAUSE_SECONDS, start, take_turns, warmed
from inference.workplace import InferenceFolder
from pointsman.classify.artifact import BUILTIN, read_manifest
from pointsman.classify.manifest import MODEL

THREADS = (1, 2)
TOKENS = (16, 32, 64, 128, 256, 512)
SECONDS = 3.0
"""Time by tokens, after which no further round begins."""


def measure(work: InferenceFolder, share: float) -> dict[str, Any]:
    """Return `ms` by tokens and threads in the order of the rounds, and which artifact it was."""
    with contextlib.ExitStack() as stack:
        workers = {}
        for threads in THREADS:
            worker = start(work, f"built-in {threads}", "onnxruntime", BUILTIN, threads=threads)
            assert worker is not None
            workers[str(threads)] = stack.enter_context(worker)
        cells = {tokens: warmed(workers, tokens) for tokens in TOKENS}
        for tokens, cell in cells.items():
            take_turns(workers, tokens, cell, SECONDS * share)
    times = {str(tokens): cell.ms for tokens, cell in cells.items()}
    return {"sha256": read_manifest(BUILTIN).files[MODEL], "pause_s": PAUSE_SECONDS, "ms": times}

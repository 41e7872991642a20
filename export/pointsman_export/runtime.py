"""An exported graph on ONNX Runtime, fed with token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from pointsman.classify.tokenize import Ids

Logits = npt.NDArray[np.float32]

_ERRORS_ONLY = 3


class Graph:
    """A session on the CPU. `threads` 0 leaves the number to ONNX Runtime."""

    def __init__(self, path: Path, threads: int = 0) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def logits(self, prompts: Sequence[Ids], width: int = 0) -> Logits:
        """[prompts, labels] of one run over all prompts, padded to the longest or to `width` tokens."""
        ids, mask = padded(prompts, width)
        return self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]  # type: ignore[no-any-return]


def alone(graph: Graph, prompts: Sequence[Ids]) -> Logits:
    """[prompts, labels], each prompt in a run of its own, as its score is when the service is idle."""
    return np.concatenate([graph.logits([prompt]) for prompt in prompts])


def padded(prompts: Sequence[Ids], width: int = 0) -> tuple[Ids, Ids]:
    """Ids and mask [prompts, tokens]; what is masked holds id 0."""
    width = max(width, *(len(prompt) for prompt in prompts))
    ids, mask = np.zeros((2, len(prompts), width), np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
        mask[row, : len(prompt)] = 1
    return ids, mask

"""Run an exported graph on ONNX Runtime with token ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime

from pointsman.classify import packing
from pointsman.classify.openvino_cpu import OpenVinoRunner
from pointsman.classify.runtime import sum_exactly
from pointsman.classify.tokenizer import Ids
from pointsman_export.export.interface import OUTPUT, PACKED

Logits = npt.NDArray[np.float32]

_ERRORS_ONLY = 3
_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class RunnableGraph(Protocol):
    """A graph that is ready to run; `provider` names the provider that runs it."""

    provider: str
    runs_alone: bool
    """Each prompt is a run of its own, without padding, so that no other can change its logits."""

    def logits(self, prompts: Sequence[Ids], width: int = 0) -> Logits: ...


class OnnxGraph:
    """A session on the CPU, or on CUDA if the graph is for a GPU and there is one.

    With `threads` 0, ONNX Runtime chooses the number of threads; several wait for the next run without spinning, as in
    the daemon, and take no time from the graph that is measured in turn with this one.
    """

    runs_alone = False

    def __init__(self, path: Path, threads: int = 0, *, for_gpu: bool = False, output: str | None = None) -> None:
        """Take the `output` to return, by default the first."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = _ERRORS_ONLY
        options.add_session_config_entry("session.force_spinning_stop", "1")
        sum_exactly(options)
        found = onnxruntime.get_available_providers()
        # TF32 would round the products of a float32 graph to 10 bits
        wanted = [(_CUDA, {"use_tf32": "0"})] if for_gpu and _CUDA in found else []
        self._session = onnxruntime.InferenceSession(path, options, [*wanted, _CPU])
        self._output = output or self._session.get_outputs()[0].name
        self.provider: str = self._session.get_providers()[0]
        self._multiple = packing.GPU_BLOCK if for_gpu else 1
        self._packed = [value.name for value in self._session.get_inputs()] == PACKED.names

    def logits(self, prompts: Sequence[Ids], width: int = 0) -> Logits:
        """Return the logits [prompts, labels] of one run over all prompts.

        They are packed, or padded to the longest or to `width` tokens.
        """
        if self._packed:
            return self._run(packing.pack(prompts, self._multiple))
        ids, mask = padded(prompts, width)
        return self._run({"input_ids": ids, "attention_mask": mask})

    def _run(self, feed: dict[str, Ids]) -> Logits:
        return self._session.run([self._output], feed)[0]  # type: ignore[no-any-return]


class OpenVinoGraph:
    """A graph on `threads` of OpenVINO; `precision` is that of the artifact."""

    provider = "OpenVINO"
    runs_alone = True

    def __init__(self, path: Path, precision: str, threads: int = 1, output: str = OUTPUT) -> None:
        runner = OpenVinoRunner(path, precision, threads, [output])
        self._run = runner.wide or runner.narrow

    def logits(self, prompts: Sequence[Ids], width: int = 0) -> Logits:
        """Return the logits [prompts, labels], with one run for each prompt."""
        return self._run(prompts)[0]


def alone(graph: RunnableGraph, prompts: Sequence[Ids]) -> Logits:
    """Return the logits [prompts, labels] of each prompt in a run of its own, as on an idle service."""
    return np.concatenate([graph.logits([prompt]) for prompt in prompts])


def padded(prompts: Sequence[Ids], width: int = 0) -> tuple[Ids, Ids]:
    """Return ids and mask [prompts, tokens]; masked positions have id 0."""
    width = max(width, *(len(prompt) for prompt in prompts))
    ids, mask = np.zeros((2, len(prompts), width), np.int64)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = prompt
        mask[row, : len(prompt)] = 1
    return ids, mask

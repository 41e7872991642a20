"""One ONNX Runtime session: token ids in, probabilities out."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pointsman.classify.artifact import Artifact
from pointsman.classify.tokenize import Ids
from pointsman.errors import ArtifactError, CannotStart

Probabilities = npt.NDArray[np.float32]

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


class Engine:
    """Runs the artifact's graph. `run` may be called from several threads at once: they share one set of weights."""

    def __init__(self, artifact: Artifact, providers: Sequence[str]) -> None:
        """`providers` are keys of PROVIDERS, in order; raises CannotStart or ArtifactError."""
        runtime = _import_runtime()
        names = [_available(runtime, provider) for provider in providers]
        try:
            self._session = runtime.InferenceSession(artifact.model_path, _options(runtime), providers=names)
        except Exception as error:
            raise ArtifactError(f"{artifact.model_path}: ONNX Runtime cannot load it ({error})") from error
        self._manifest = artifact.manifest
        self._check_names(artifact)

    def run(self, batch: Sequence[Ids]) -> Probabilities:
        """Probabilities, shape [prompts, labels]. Prompts of one length share a run, so nothing is ever padded."""
        logits = np.empty((len(batch), len(self._manifest.labels)), dtype=np.float32)
        by_length: defaultdict[int, list[int]] = defaultdict(list)
        for position, ids in enumerate(batch):
            by_length[len(ids)].append(position)
        for positions in by_length.values():
            logits[positions] = self._logits(np.stack([batch[position] for position in positions]))
        return softmax(logits / self._manifest.temperature)

    def _logits(self, input_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        feed = {"input_ids": input_ids}
        if "attention_mask" in self._manifest.inputs:
            feed["attention_mask"] = np.ones_like(input_ids)
        result: npt.NDArray[np.float32] = self._session.run([self._manifest.output], feed)[0]
        return result

    def _check_names(self, artifact: Artifact) -> None:
        inputs = [item.name for item in self._session.get_inputs()]
        outputs = {item.name: item.shape for item in self._session.get_outputs()}
        manifest = artifact.manifest
        if sorted(inputs) != sorted(manifest.inputs) or manifest.output not in outputs:
            raise ArtifactError(
                f"{artifact.model_path}: has inputs {inputs} and outputs {list(outputs)}, the manifest says "
                f"{manifest.inputs} and {manifest.output}; export the classifier again"
            )
        width = outputs[manifest.output][-1:]  # what the graph leaves open shows in the first run
        if width and isinstance(width[0], int) and width[0] != len(manifest.labels):
            raise ArtifactError(
                f"{artifact.model_path}: gives {width[0]} logits for {len(manifest.labels)} labels; "
                "export the classifier again"
            )


def default_providers(*, use_cpu: bool) -> tuple[str, ...]:
    """CPU, or CUDA before it where this ONNX Runtime has it."""
    cuda = not use_cpu and PROVIDERS["cuda"] in _import_runtime().get_available_providers()
    return ("cuda", "cpu") if cuda else ("cpu",)


def softmax(logits: npt.NDArray[np.float32]) -> Probabilities:
    """Over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Probabilities = exponents / exponents.sum(axis=-1, keepdims=True)
    return result


def _import_runtime() -> ModuleType:
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise CannotStart(
            f"ONNX Runtime is not installed ({error}): install pointsman[cpu] for CPU or pointsman[gpu] for CUDA"
        ) from error


def _available(runtime: ModuleType, provider: str) -> str:
    name = PROVIDERS[provider]
    if name not in runtime.get_available_providers():
        raise CannotStart(
            f"ONNX Runtime has no {name}: install pointsman[gpu], or set pointsman.classifier.providers to [cpu]"
        )
    return name


def _options(runtime: ModuleType) -> Any:
    """One thread a run: runs side by side on one session beat one run on all threads, and nothing spins."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False  # an arena keeps the largest shape it ever saw, for each odd length
    options.log_severity_level = 3
    return options

"""Run the graph: token ids in, probabilities out, on the providers of this host."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pointsman.classify import packing
from pointsman.classify.artifact import Artifact
from pointsman.classify.curve_file import state_folder
from pointsman.classify.onnx_cuda import (
    BUCKETS,
    TENSORRT_ROWS,
    BucketRunner,
    Device,
    cuda_options,
    tensorrt_options,
    unsuited,
)
from pointsman.classify.runtime import Unavailable, import_runtime, open_cpu, require
from pointsman.classify.tokenizer import Ids
from pointsman.errors import ArtifactError, CannotStart

Logits = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]


class Engine:
    """Run the artifact's graph; on CPU `run` may be called from several threads at once."""

    def __init__(
        self,
        artifact: Artifact,
        providers: Sequence[str],
        *,
        threads: int = 1,
        device: Device = Device(),  # noqa: B008 - frozen
    ) -> None:
        """`providers` are keys of PROVIDERS in order of preference; wide runs use `threads`.

        Raises CannotStart or ArtifactError.
        """
        self._runtime = import_runtime()
        self._artifact = artifact
        self._packed = list(artifact.manifest.inputs) == list(packing.INPUTS)
        self._wide: Callable[[Sequence[Ids]], Logits] | None = None
        self._runner: BucketRunner | None = None
        self.captured: tuple[int, ...] = ()
        """Token counts whose first run captures a CUDA graph, which is slow."""
        self.version: str = self._runtime.__version__
        self.notes: list[str] = []
        """Messages for the operator."""
        self._run_options = self._runtime.RunOptions()
        self._run_options.log_severity_level = 4  # a run that is stopped is no error to print
        for provider in providers:
            try:
                name = require(self._runtime, provider)
                self._open_cpu(threads) if provider == "cpu" else self._open_gpu(provider, name, device)
            except Unavailable as error:
                self.notes.append(str(error))
            except ArtifactError:
                raise
            except Exception as error:
                raise ArtifactError(f"{artifact.model_path}: ONNX Runtime cannot load it ({error})") from error
            else:
                self.provider = provider
                return
        raise CannotStart(
            f"{'; '.join(self.notes)}, or run on CPU: set pointsman.classifier.providers to [cpu], "
            "or classifier.category_model.use_cpu to true"
        )

    @property
    def has_wide(self) -> bool:
        """Return whether a run can use all threads."""
        return self._wide is not None

    def run(self, batch: Sequence[Ids], *, wide: bool = False) -> Probabilities:
        """Return probabilities of shape [prompts, labels]; `wide` uses all threads if possible.

        A row is NaN if the graph returned NaN or infinity for this prompt. On CPU nothing is padded. Raises the errors
        of ONNX Runtime, and ValueError if the shape is wrong.
        """
        logits = self._wide(batch) if wide and self._wide is not None else self._narrow(batch)
        expected = (len(batch), len(self._artifact.manifest.labels))
        if logits.shape != expected:
            raise ValueError(f"the graph returns logits of shape {list(logits.shape)}, expected {list(expected)}")
        with np.errstate(over="ignore"):
            scaled = logits / self._artifact.manifest.temperature
        return softmax(np.where(np.isfinite(scaled).all(axis=1, keepdims=True), scaled, np.nan))

    def stop(self) -> None:
        """End all runs on the CPU, at their next operator, and let none start again; call from any thread."""
        self._run_options.terminate = True
        if self._runner is not None:
            self._runner.close()

    @contextlib.contextmanager
    def stopped_after(self, seconds: float) -> Iterator[None]:
        """Stop the engine if the block takes longer."""
        timer = threading.Timer(seconds, self.stop)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()

    @property
    def stopped(self) -> bool:
        """Return whether `stop` was called."""
        return bool(self._run_options.terminate)

    def _open_cpu(self, threads: int) -> None:
        sessions = open_cpu(self._runtime, self._artifact.model_path, threads, state_folder())
        _check_names(sessions.narrow, self._artifact)
        self._narrow = self._with(sessions.narrow)
        self._wide = None if sessions.wide is None else self._with(sessions.wide)
        self.notes += [] if sessions.note is None else [sessions.note]

    def _open_gpu(self, provider: str, name: str, device: Device) -> None:
        manifest = self._artifact.manifest
        if refusal := unsuited(provider, manifest.target, packed=self._packed):
            raise Unavailable(refusal)
        if provider == "cuda":
            chosen = cuda_options(device, capture=self._packed)
        else:
            chosen = tensorrt_options(device, state_folder() / "tensorrt", manifest.inputs, manifest.max_tokens)
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        session = self._runtime.InferenceSession(
            self._artifact.model_path, options, providers=[name], provider_options=[chosen]
        )
        if session.get_providers()[0] != name:  # ONNX Runtime falls back to CPU and only prints a warning
            raise Unavailable(f"{name} does not start on device {device.id}: check the driver and `nvidia-smi`")
        _check_names(session, self._artifact)
        self._narrow = self._with(session)
        if self._packed:
            self._runner = BucketRunner(self._runtime, session, manifest.output, len(manifest.labels), device)
            self._narrow = self._runner.logits
            self.captured = BUCKETS

    def _with(self, session: Any) -> Callable[[Sequence[Ids]], Logits]:
        output, options = self._artifact.manifest.output, self._run_options

        def call(feed: dict[str, Ids]) -> Logits:
            result: Logits = session.run([output], feed, options)[0]
            return result

        if self._packed:
            multiple = packing.GPU_BLOCK if self._artifact.manifest.target == "gpu" else 1
            return lambda batch: call(packing.pack(batch, multiple))
        masked = "attention_mask" in self._artifact.manifest.inputs
        return lambda batch: _by_length(call, batch, masked=masked)


def _by_length(call: Callable[[dict[str, Ids]], Logits], batch: Sequence[Ids], *, masked: bool) -> Logits:
    """Run a graph that takes rectangular inputs: prompts of equal length share a call, up to TENSORRT_ROWS of them."""
    positions: defaultdict[int, list[int]] = defaultdict(list)
    for position, ids in enumerate(batch):
        positions[len(ids)].append(position)
    logits: dict[int, Logits] = {}
    for same in positions.values():
        for start in range(0, len(same), TENSORRT_ROWS):
            some = same[start : start + TENSORRT_ROWS]
            input_ids = np.stack([batch[position] for position in some])
            feed = {"input_ids": input_ids} | ({"attention_mask": np.ones_like(input_ids)} if masked else {})
            logits |= zip(some, call(feed), strict=True)
    return np.stack([logits[position] for position in range(len(batch))])


def _check_names(session: Any, artifact: Artifact) -> None:
    inputs = [item.name for item in session.get_inputs()]
    outputs = {item.name: item.shape for item in session.get_outputs()}
    manifest = artifact.manifest
    if sorted(inputs) != sorted(manifest.inputs) or manifest.output not in outputs:
        raise ArtifactError(
            f"{artifact.model_path}: has inputs {inputs} and outputs {list(outputs)}, the manifest says "
            f"{manifest.inputs} and {manifest.output}; export the classifier again"
        )
    width = outputs[manifest.output][-1:]  # dimensions that the graph leaves open are checked in the first run
    if width and isinstance(width[0], int) and width[0] != len(manifest.labels):
        raise ArtifactError(
            f"{artifact.model_path}: gives {width[0]} logits for {len(manifest.labels)} labels; "
            "export the classifier again"
        )


def default_providers(*, use_cpu: bool) -> tuple[str, ...]:
    """Return the providers for `use_cpu`: CPU only, or CUDA only."""
    return ("cpu",) if use_cpu else ("cuda",)


def softmax(logits: npt.NDArray[np.float32]) -> Probabilities:
    """Return the softmax over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Probabilities = exponents / exponents.sum(axis=-1, keepdims=True)
    return result

"""Run the graph: token ids in, probabilities out, on the providers of this host."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pointsman.classify import packing
from pointsman.classify.artifact import Artifact
from pointsman.classify.curve_file import state_folder
from pointsman.classify.onnx_cuda import BUCKETS, BucketRunner, Device, cuda_options
from pointsman.classify.openvino_cpu import OpenVinoRunner
from pointsman.classify.providers import CPU, OPENVINO, advice, unsuited
from pointsman.classify.runtime import ProviderUnavailable, import_runtime, open_cpu, require
from pointsman.classify.tokenizer import Ids
from pointsman.errors import ArtifactError, CannotStart

# Attention takes memory for each row.
MAX_ROWS = 32

Array = npt.NDArray[np.float32]
Probabilities = npt.NDArray[np.float32]


class EngineRun(NamedTuple):
    """The outputs of a run: the graph's own logits [prompts, labels], and features [prompts, width] or None.

    The graph of an encoder without a head has no labels.
    """

    logits: Array
    features: Array | None

    @property
    def finite(self) -> npt.NDArray[np.bool_]:
        """Return for each prompt whether the graph gave numbers, neither NaN nor infinity."""
        outputs = self.logits if self.features is None else np.hstack([self.logits, self.features])
        return np.asarray(np.isfinite(outputs).all(axis=1))


class Engine:
    """The artifact's graph, ready to run; on CPU `run` may be called from several threads at once."""

    def __init__(
        self,
        artifact: Artifact,
        providers: Sequence[str],
        *,
        threads: int = 1,
        device: Device = Device(),  # noqa: B008 - frozen
    ) -> None:
        """Take `providers`, names in order of preference; wide runs use `threads`.

        Raises CannotStart or ArtifactError.
        """
        self._artifact = artifact
        self._packed = list(artifact.manifest.inputs) == list(packing.INPUTS)
        manifest = artifact.encoder.manifest
        self._outputs: dict[str, int] = {}
        if manifest.labels:
            self._outputs[manifest.output] = len(manifest.labels)
        if manifest.features is not None:
            self._outputs[manifest.features.output] = manifest.features.width
        self._narrow: Callable[[Sequence[Ids]], list[Array]]
        self._wide: Callable[[Sequence[Ids]], list[Array]] | None = None
        self._stops: list[Callable[[], None]] = []
        self._stopped = False
        self.captured: tuple[int, ...] = ()
        """Token counts whose first run captures a CUDA graph, which is slow."""
        self.version: str
        """The version of ONNX Runtime or OpenVINO."""
        self.notes: list[str] = []
        """Messages for the operator."""
        for provider in providers:
            try:
                self._open(provider, threads, device)
            except ProviderUnavailable as error:
                self.notes.append(str(error))
            except (ArtifactError, CannotStart):
                raise
            except Exception as error:
                library = "OpenVINO" if provider == OPENVINO else "ONNX Runtime"
                raise ArtifactError(f"{artifact.model_path}: {library} cannot load it ({error})") from error
            else:
                self.provider = provider
                return
        raise CannotStart(f"{'; '.join(self.notes)}, or {advice(artifact.manifest.target)}")

    @property
    def has_wide(self) -> bool:
        """Return whether a run can use all threads."""
        return self._wide is not None

    def run(self, batch: Sequence[Ids], *, wide: bool = False) -> Probabilities:
        """Return the artifact's probabilities, shape [prompts, labels]; see `read` and `probabilities`."""
        return probabilities(self._artifact, self.read(batch, wide=wide))

    def read(self, batch: Sequence[Ids], *, wide: bool = False) -> EngineRun:
        """Return what the graph gives for each prompt; `wide` uses all threads if possible.

        On CPU nothing is padded. Raises the errors of the library, and ValueError if a shape is wrong.
        """
        found = self._wide(batch) if wide and self._wide is not None else self._narrow(batch)
        for (name, width), values in zip(self._outputs.items(), found, strict=True):
            if values.shape != (expected := (len(batch), width)):
                raise ValueError(f"the graph returns {name} of shape {list(values.shape)}, expected {list(expected)}")
        named = dict(zip(self._outputs, found, strict=True))
        manifest = self._artifact.encoder.manifest
        logits = named.get(manifest.output, np.empty((len(batch), 0), np.float32))
        return EngineRun(logits, None if manifest.features is None else named[manifest.features.output])

    def stop(self) -> None:
        """End all runs on the CPU, at their next operator, and let no more start; call from any thread."""
        self._stopped = True
        for stop in self._stops:
            stop()

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
        return self._stopped

    @property
    def on_cpu(self) -> bool:
        """Return whether runs use the cores of the CPU."""
        return self.provider in (CPU, OPENVINO)

    def _open(self, provider: str, threads: int, device: Device) -> None:
        target = self._artifact.manifest.target
        # A graph exported for one library runs only there, whatever is installed.
        name = None if OPENVINO in (provider, target) else self._start_runtime(provider)
        if refusal := unsuited(provider, target):
            raise ProviderUnavailable(refusal)
        if name is None:
            self._open_openvino(threads)
        elif provider == CPU:
            self._open_cpu(threads)
        else:
            self._open_cuda(name, device)

    def _start_runtime(self, provider: str) -> str:
        """Import ONNX Runtime, and return its name of the provider; raises CannotStart or ProviderUnavailable."""
        self._runtime = import_runtime()
        self.version = self._runtime.__version__
        self._run_options = self._runtime.RunOptions()
        self._run_options.log_severity_level = 4  # a stopped run is not an error to print
        self._stops = [functools.partial(setattr, self._run_options, "terminate", True)]  # without a cycle with `self`
        return require(self._runtime, provider)

    def _open_openvino(self, threads: int) -> None:
        manifest = self._artifact.manifest
        runner = OpenVinoRunner(self._artifact.model_path, manifest.precision, threads, list(self._outputs))
        _check_names(runner.inputs, dict.fromkeys(runner.outputs, ()), self._artifact, self._outputs)
        self.version = runner.version
        self._narrow, self._wide = runner.narrow, runner.wide
        self._stops = [runner.close]

    def _open_cpu(self, threads: int) -> None:
        sessions = open_cpu(self._runtime, self._artifact.model_path, threads, state_folder())
        _check_session(sessions.narrow, self._artifact, self._outputs)
        self._narrow = self._with(sessions.narrow)
        self._wide = None if sessions.wide is None else self._with(sessions.wide)
        self.notes += [] if sessions.note is None else [sessions.note]

    def _open_cuda(self, name: str, device: Device) -> None:
        chosen = cuda_options(device, capture=self._packed)
        options = self._runtime.SessionOptions()
        options.log_severity_level = 3
        session = self._runtime.InferenceSession(
            self._artifact.model_path, options, providers=[name], provider_options=[chosen]
        )
        if session.get_providers()[0] != name:  # ONNX Runtime falls back to CPU and only prints a warning
            raise ProviderUnavailable(f"{name} does not start on device {device.id}: check the driver and `nvidia-smi`")
        _check_session(session, self._artifact, self._outputs)
        self._narrow = self._with(session)
        if self._packed:
            runner = BucketRunner(self._runtime, session, self._outputs, device)
            self._stops.append(runner.close)
            self._narrow = runner.run
            self.captured = BUCKETS

    def _with(self, session: Any) -> Callable[[Sequence[Ids]], list[Array]]:
        outputs, options = list(self._outputs), self._run_options

        def call(feed: dict[str, Ids]) -> list[Array]:
            result: list[Array] = session.run(outputs, feed, options)
            return result

        if self._packed:
            multiple = packing.GPU_BLOCK if self._artifact.manifest.target == "gpu" else 1
            return lambda batch: call(packing.pack(batch, multiple))
        masked = "attention_mask" in self._artifact.manifest.inputs
        return lambda batch: _by_length(call, batch, masked=masked)


def _by_length(call: Callable[[dict[str, Ids]], list[Array]], batch: Sequence[Ids], *, masked: bool) -> list[Array]:
    """Run a graph that takes rectangular inputs: prompts of equal length share a call, up to MAX_ROWS of them."""
    positions: defaultdict[int, list[int]] = defaultdict(list)
    for position, ids in enumerate(batch):
        positions[len(ids)].append(position)
    found: dict[int, tuple[Array, ...]] = {}
    for same in positions.values():
        for start in range(0, len(same), MAX_ROWS):
            some = same[start : start + MAX_ROWS]
            input_ids = np.stack([batch[position] for position in some])
            feed = {"input_ids": input_ids} | ({"attention_mask": np.ones_like(input_ids)} if masked else {})
            found |= zip(some, zip(*call(feed), strict=True), strict=True)
    return [np.stack(rows) for rows in zip(*(found[position] for position in range(len(batch))), strict=True)]


def _check_session(session: Any, artifact: Artifact, wanted: Mapping[str, int]) -> None:
    inputs = [item.name for item in session.get_inputs()]
    _check_names(inputs, {item.name: item.shape for item in session.get_outputs()}, artifact, wanted)


def _check_names(
    inputs: Collection[str], outputs: Mapping[str, Sequence[Any]], artifact: Artifact, wanted: Mapping[str, int]
) -> None:
    """Compare the graph's inputs and outputs with the manifest's; `wanted` has the width of each output."""
    manifest = artifact.manifest
    if sorted(inputs) != sorted(manifest.inputs) or not wanted.keys() <= outputs.keys():
        raise ArtifactError(
            f"{artifact.model_path}: has inputs {list(inputs)} and outputs {list(outputs)}, the manifest says "
            f"{manifest.inputs} and {' and '.join(wanted)}; export the classifier again"
        )
    for name, size in wanted.items():
        width = outputs[name][-1:]  # dimensions that the graph leaves open are checked in the first run
        if width and isinstance(width[0], int) and width[0] != size:
            raise ArtifactError(
                f"{artifact.model_path}: gives {width[0]} {name}, the manifest says {size}; export the classifier again"
            )


def probabilities(found: Artifact, run: EngineRun) -> Probabilities:
    """Return an artifact's probabilities, shape [prompts, labels], from a run of its graph.

    A row is NaN if the graph returned NaN or infinity for this prompt, also in its features.
    """
    if not found.manifest.labels:
        return run.logits
    with np.errstate(over="ignore", invalid="ignore"):
        logits: Any = run.logits
        if found.head is not None and run.features is not None:
            logits = found.head.logits(run.features, run.logits)
        scaled = logits / found.manifest.temperature
    usable = run.finite & np.isfinite(scaled).all(axis=1)
    return softmax(np.where(usable[:, None], scaled, np.nan))


def softmax(logits: npt.NDArray[np.float32]) -> Probabilities:
    """Return the softmax over the last axis."""
    exponents = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Probabilities = exponents / exponents.sum(axis=-1, keepdims=True)
    return result

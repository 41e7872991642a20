"""A packed graph on CUDA: token buckets, fixed buffers and a captured CUDA graph for each bucket.

Launching some hundred kernels costs more than running them on a short prompt, and CUDA graphs replay all of them in
one launch, but only for a shape that was captured. So calls are filled up to the next of a few token counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pointsman.classify.packing import INPUTS, pack
from pointsman.classify.tokenizer import Ids

BUCKETS = (64, 128, 256, 512, 1024, 2048, 4096)
"""Tokens of a call; what is longer runs without a captured graph."""
TOKENS_PER_PROMPT = 8
"""A bucket has a row of logits for each so many of its tokens; the rows are fixed as well."""

TENSORRT_ROWS = 32
"""Most prompts of a call: TensorRT builds its engine for shapes up to a bound, and takes minutes for another."""

NO_GRAPH = "-1"  # ONNX Runtime's word for a run that is neither captured nor replayed


@dataclass(frozen=True, slots=True)
class Device:
    """`memory_mb` bounds ONNX Runtime's arena; None leaves it open."""

    id: int = 0
    memory_mb: int | None = None


def bucket_for(tokens: int, prompts: int) -> int | None:
    """The smallest bucket that holds them; None where none does."""
    return next((b for b in BUCKETS if tokens <= b and prompts <= b // TOKENS_PER_PROMPT), None)


def calls(prompts: Sequence[Ids]) -> Iterator[Sequence[Ids]]:
    """Cut a batch, in order, into calls that fit the largest bucket; a longer prompt is a call of its own."""
    start, tokens = 0, 0
    for end, prompt in enumerate(prompts):
        if end > start and bucket_for(tokens + len(prompt), end - start + 1) is None:
            yield prompts[start:end]
            start, tokens = end, 0
        tokens += len(prompt)
    if prompts:
        yield prompts[start:]


def fill(feed: Mapping[str, Ids], bucket: int) -> dict[str, Ids]:
    """The feed, filled up to the bucket: filler tokens are a prompt of nobody's, with segment id -1.

    Rows of logits beyond the prompts' start at token 0, and nobody reads them.
    """
    lengths = {"starts": bucket // TOKENS_PER_PROMPT}
    return {
        name: np.pad(
            values, (0, lengths.get(name, bucket) - len(values)), constant_values=-1 if name == "segment_ids" else 0
        )
        for name, values in feed.items()
    }


def unsuited(provider: str, target: str, *, packed: bool) -> str | None:
    """Why the provider, `cuda` or `tensorrt`, cannot run a graph that was exported for `target`; None if it can."""
    if target != "gpu":  # int8 has no kernels there, and a captured graph can hold no loop over the prompts
        return "the classifier was exported for the CPU: export its checkpoint with --target gpu"
    if provider == "tensorrt" and packed:
        return "TensorRT has no packed attention: export the classifier with --target gpu --level plain"
    return None


def cuda_options(device: Device, *, capture: bool) -> dict[str, str]:
    """ONNX Runtime's options of `cuda`."""
    options = {
        "device_id": str(device.id),
        "arena_extend_strategy": "kSameAsRequested",  # the default doubles, beside a vLLM that needs the rest
        "enable_cuda_graph": str(int(capture)),
    }
    if device.memory_mb is not None:
        options["gpu_mem_limit"] = str(device.memory_mb * 2**20)
    return options


def tensorrt_options(device: Device, cache: Path, inputs: Sequence[str], longest: int) -> dict[str, str]:
    """ONNX Runtime's options of `tensorrt`, for inputs [prompts, up to `longest` tokens]; `cache` keeps its engines."""
    shapes = {"min": "1x1", "opt": f"8x{min(128, longest)}", "max": f"{TENSORRT_ROWS}x{longest}"}
    options = {
        "device_id": str(device.id),
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        **{
            f"trt_profile_{bound}_shapes": ",".join(f"{name}:{shape}" for name in inputs)
            for bound, shape in shapes.items()
        },
    }
    if device.memory_mb is not None:
        options["trt_max_workspace_size"] = str(device.memory_mb * 2**20)
    return options


class BucketRunner:
    """Runs packed calls on fixed buffers, one call at a time: a captured graph reads and writes these and no others."""

    def __init__(self, runtime: ModuleType, session: Any, output: str, labels: int, device: Device) -> None:
        self._runtime = runtime
        self._session = session
        self._output = output
        self._labels = labels
        self._device = device
        self._buckets: dict[int, _Buffers] = {}
        self._lock = Lock()

    def logits(self, prompts: Sequence[Ids]) -> npt.NDArray[np.float32]:
        """Shape [prompts, labels]."""
        with self._lock:
            return np.concatenate([self._call(some) for some in calls(prompts)])

    def _call(self, prompts: Sequence[Ids]) -> npt.NDArray[np.float32]:
        feed = pack(prompts)
        bucket = bucket_for(len(feed["input_ids"]), len(prompts))
        if bucket is None:
            options = self._runtime.RunOptions()
            options.add_run_config_entry("gpu_graph_id", NO_GRAPH)
            result: npt.NDArray[np.float32] = self._session.run([self._output], feed, options)[0]
            return result
        buffers = self._buckets.get(bucket)
        if buffers is None:
            buffers = self._buckets[bucket] = self._allocate(bucket)
        for name, values in fill(feed, bucket).items():
            buffers.inputs[name].update_inplace(values)
        self._session.run_with_iobinding(buffers.binding, buffers.options)
        buffers.binding.synchronize_outputs()
        rows: npt.NDArray[np.float32] = buffers.output.numpy()[: len(prompts)]
        return rows

    def _allocate(self, bucket: int) -> _Buffers:
        rows = bucket // TOKENS_PER_PROMPT
        binding = self._session.io_binding()
        inputs = {name: self._on_device([rows if name == "starts" else bucket], np.int64) for name in INPUTS}
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        output = self._on_device([rows, self._labels], np.float32)
        binding.bind_ortvalue_output(self._output, output)
        options = self._runtime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(1 + BUCKETS.index(bucket)))  # 0 is reserved
        return _Buffers(inputs, output, binding, options)

    def _on_device(self, shape: list[int], kind: Any) -> Any:
        return self._runtime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cuda", self._device.id)


@dataclass(frozen=True, slots=True)
class _Buffers:
    inputs: dict[str, Any]
    output: Any
    binding: Any
    options: Any

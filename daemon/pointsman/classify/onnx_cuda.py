"""Run a packed graph on CUDA: token buckets, fixed buffers and one captured CUDA graph for each bucket.

Launching hundreds of kernels takes longer than running them on a short prompt. A CUDA graph replays them in one launch,
but only for the shape that was captured, so calls are padded to the next of a few token counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pointsman.classify.packing import GPU_BLOCK, INPUTS, pack
from pointsman.classify.tokenizer import Ids

BUCKETS = (64, 128, 256, 512, 1024, 2048, 4096)
"""Tokens of a call, multiples of GPU_BLOCK; longer calls run without a captured graph."""
TOKENS_PER_PROMPT = 8
"""Tokens of a bucket per row of logits; the number of rows is fixed, too."""

Array = npt.NDArray[np.float32]

WORKERS = 2
"""One worker tokenizes and packs texts while the GPU runs those of the other."""

NO_GRAPH = "-1"  # disables capture and replay for a run


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU; `memory_mb` limits ONNX Runtime's arena in MiB, None means no limit."""

    id: int = 0
    memory_mb: int | None = None


def bucket_for(tokens: int, prompts: int) -> int | None:
    """Return the smallest bucket that holds this many tokens and prompts, or None."""
    return next((b for b in BUCKETS if tokens <= b and prompts <= b // TOKENS_PER_PROMPT), None)


def calls(prompts: Sequence[Ids]) -> Iterator[Sequence[Ids]]:
    """Split a batch, in order, into calls that fit the largest bucket; a longer prompt is a call of its own."""
    start, tokens = 0, 0
    for end, prompt in enumerate(prompts):
        if end > start and bucket_for(tokens + len(prompt), end - start + 1) is None:
            yield prompts[start:end]
            start, tokens = end, 0
        tokens += len(prompt)
    if prompts:
        yield prompts[start:]


def fill(feed: Mapping[str, Ids], bucket: int) -> dict[str, Ids]:
    """Return the feed padded to the bucket; the padding is a prompt of its own with segment id -1.

    Rows of logits beyond the prompts start at token 0 and are ignored.
    """
    lengths = {"starts": bucket // TOKENS_PER_PROMPT}
    return {
        name: np.pad(
            values, (0, lengths.get(name, bucket) - len(values)), constant_values=-1 if name == "segment_ids" else 0
        )
        for name, values in feed.items()
    }


def cuda_options(device: Device, *, capture: bool) -> dict[str, str]:
    """Return ONNX Runtime's options for `cuda`."""
    options = {
        "device_id": str(device.id),
        "arena_extend_strategy": "kSameAsRequested",  # the default doubles its arena, but vLLM needs the memory
        "enable_cuda_graph": str(int(capture)),
    }
    if device.memory_mb is not None:
        options["gpu_mem_limit"] = str(device.memory_mb * 2**20)
    return options


class BucketRunner:
    """A runner of packed calls on fixed buffers, one at a time, since a captured graph is bound to its buffers.

    ONNX Runtime keeps captured graphs for each thread, so one thread runs all calls, capturing ones too. Callers
    prepare their inputs on their own threads, while it runs another's. It also copies inputs to the device, at most 100
    kB: copying during a run would take a second set of buffers, with a captured graph of its own for each bucket.
    """

    def __init__(self, runtime: ModuleType, session: Any, outputs: Mapping[str, int], device: Device) -> None:
        """Take the width of each output."""
        self._runtime = runtime
        self._session = session
        self._outputs = outputs
        self._device = device
        self._buckets: dict[int, _Buffers] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gpu")

    def run(self, prompts: Sequence[Ids]) -> list[Array]:
        """Return each of the outputs, shape [prompts, width]; raises RuntimeError after `close`."""
        return [np.concatenate(parts) for parts in zip(*map(self._call, calls(prompts)), strict=True)]

    def close(self) -> None:
        """Let no more calls start; a running one ends."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _call(self, prompts: Sequence[Ids]) -> list[Array]:
        feed = pack(prompts)
        bucket = bucket_for(len(feed["input_ids"]), len(prompts))
        if bucket is None:
            return self._thread.submit(self._run, pack(prompts, GPU_BLOCK)).result()
        found = self._thread.submit(self._replay, bucket, fill(feed, bucket)).result()
        return [rows[: len(prompts)] for rows in found]

    def _run(self, feed: dict[str, Ids]) -> list[Array]:
        options = self._runtime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", NO_GRAPH)
        result: list[Array] = self._session.run(list(self._outputs), feed, options)
        return result

    def _replay(self, bucket: int, feed: dict[str, Ids]) -> list[Array]:
        """Run the captured graph of a bucket; the first run captures it."""
        buffers = self._buckets.get(bucket)
        if buffers is None:
            buffers = self._buckets[bucket] = self._allocate(bucket)
        for name, values in feed.items():
            buffers.inputs[name].update_inplace(values)
        self._session.run_with_iobinding(buffers.binding, buffers.options)
        buffers.binding.synchronize_outputs()
        return [output.numpy() for output in buffers.outputs]

    def _allocate(self, bucket: int) -> _Buffers:
        rows = bucket // TOKENS_PER_PROMPT
        binding = self._session.io_binding()
        inputs = {name: self._on_device([rows if name == "starts" else bucket], np.int64) for name in INPUTS}
        for name, value in inputs.items():
            binding.bind_ortvalue_input(name, value)
        outputs = [self._on_device([rows, width], np.float32) for width in self._outputs.values()]
        for name, output in zip(self._outputs, outputs, strict=True):
            binding.bind_ortvalue_output(name, output)
        options = self._runtime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(1 + BUCKETS.index(bucket)))  # 0 is reserved
        return _Buffers(inputs, outputs, binding, options)

    def _on_device(self, shape: list[int], kind: Any) -> Any:
        return self._runtime.OrtValue.ortvalue_from_shape_and_type(shape, kind, "cuda", self._device.id)


@dataclass(frozen=True, slots=True)
class _Buffers:
    inputs: dict[str, Any]
    outputs: list[Any]
    binding: Any
    options: Any

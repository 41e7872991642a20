"""ONNX Runtime: which provider runs a graph, and the sessions that run it on CPU threads."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from pointsman.errors import CannotStart

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}

# Smaller constants stay inside the graph's own file.
SHARED_BYTES = 1024
# Loading takes seconds; a folder of weights that is so old was left by a process that was killed while it loaded.
LEFT_BEHIND_S = 3600.0
WEIGHTS = "weights-"
# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGEST_KEPT = 32 << 20
"""Bytes; glibc allows no more. A tensor above goes back to the kernel at once."""
TOP_KEPT = 128 << 20
"""Bytes that may be free at the end of a heap; the heaps of threads are half as large."""


def import_runtime() -> ModuleType:
    """The package `onnxruntime`; raises CannotStart."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise CannotStart(
            f"ONNX Runtime is not installed ({error}): install pointsman[cpu] for CPU or pointsman[gpu] for CUDA"
        ) from error


class Unavailable(Exception):
    """This host, or this ONNX Runtime, has no such provider; the message says what to do."""


def require(runtime: ModuleType, provider: str) -> str:
    """ONNX Runtime's name of the provider, a key of PROVIDERS; raises Unavailable."""
    name = PROVIDERS[provider]
    if name not in runtime.get_available_providers():
        raise Unavailable(f"ONNX Runtime has no {name}: install pointsman[{'cpu' if provider == 'cpu' else 'gpu'}]")
    return name


@dataclass(frozen=True, slots=True)
class CpuSessions:
    """Two sessions of one graph; `wide` is on all threads, None where that cannot be had."""

    narrow: Any
    wide: Any | None
    note: str | None = None
    """What to tell the operator."""


def open_cpu(runtime: ModuleType, model: Path, threads: int, scratch: Path) -> CpuSessions:
    """Sessions on one thread, and on `threads` where those are more, with one copy of the weights between them.

    Runs side by side on a single-threaded session give 1.1 to 1.3 times the tokens of runs that share a pool of
    threads, and a long prompt on an idle host is up to twice as fast on two. A single-threaded session runs on the
    thread that calls it, so there is one pool, the other session's. It is that session's own: ONNX Runtime's global
    pool goes on spinning between runs, and from Python it cannot be told not to. To keep the weights once, they are
    written as the kernels want them into a file in the folder `scratch`, which both sessions map into memory and which
    has no name any more when this returns. Raises what ONNX Runtime raises.
    """
    if threads == 1:
        return CpuSessions(_session(runtime, model, 1), None)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        _remove_left_behind(scratch)
        with tempfile.TemporaryDirectory(dir=scratch, prefix=WEIGHTS) as folder:
            prepared = Path(folder) / "model.onnx"
            options = _options(runtime, 1)
            options.optimized_model_filepath = str(prepared)
            for name, value in {
                "save_external_prepacked_constant_initializers": "1",
                "optimized_model_external_initializers_file_name": "weights",
                "optimized_model_external_initializers_min_size_in_bytes": str(SHARED_BYTES),
            }.items():
                options.add_session_config_entry(f"session.{name}", value)
            runtime.InferenceSession(model, options, providers=[PROVIDERS["cpu"]])
            return CpuSessions(_session(runtime, prepared, 1), _session(runtime, prepared, threads))
    except OSError as error:
        note = f"long prompts run on one thread: {scratch} cannot be written ({error.strerror})"
        return CpuSessions(_session(runtime, model, 1), None, note)


def _remove_left_behind(scratch: Path) -> None:
    for folder in scratch.glob(f"{WEIGHTS}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > LEFT_BEHIND_S:
                shutil.rmtree(folder, ignore_errors=True)


def set_up_malloc(cores: int) -> None:
    """Let runs use the memory of earlier ones, each thread its own; before there are any.

    Left to itself, glibc learns from what is freed how much to keep, and takes memory from the kernel anew for each
    long run: up to 13,000 page faults, or 5 % of its time. An arena of ONNX Runtime's would keep less, but has one lock
    for all allocations: two runs of the built-in side by side took more than twice as long.

    There is a place to allocate from for each worker of one classifier, and for the event loop: two workers that share
    one are a quarter slower. glibc would give each thread of the next classifier one more, and leave holes in all that
    the last one used.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(M_ARENA_MAX, 1 + cores)
        tune(M_MMAP_THRESHOLD, LARGEST_KEPT)
        tune(M_TRIM_THRESHOLD, TOP_KEPT)


def trim_memory() -> None:
    """Give back what loading left: glibc keeps freed memory, 90 MB of it for ModernBERT-base."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _session(runtime: ModuleType, model: Path, threads: int) -> Any:
    return runtime.InferenceSession(model, _options(runtime, threads), providers=[PROVIDERS["cpu"]])


def _options(runtime: ModuleType, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Within a run of a few ms, threads that sleep between its hundreds of operators double its time; after it they
    # would burn vLLM's cores.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_cpu_mem_arena = False
    # A plan for each length that was ever seen saves no time and is never forgotten: 100 kB each for ModernBERT-base.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    return options

"""Open ONNX Runtime sessions: choose a provider, and run a graph on CPU threads."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from pointsman.classify import cpu
from pointsman.classify.workers import NICE_LONG, workers
from pointsman.errors import CannotStart

PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
}

WHEELS = ("onnxruntime", "onnxruntime-gpu")
"""The packages of ONNX Runtime; the extras `cpu` and `gpu` have one each."""

EXACT_SUMS = "session.x64quantprecision"
"""Option of a session; see `sum_exactly`."""

# Smaller constants stay in the graph's own file.
SHARED_BYTES = 1024
# The position of weights in a prepared graph: "MatMulIntegerToFloat+6712504603216725768|12781032;148992;0".
PREPACKED = re.compile(rb"\+\d+\|(\d+);\d+;")
ALIGNMENT = 64
TWICE = (
    "the weights are in memory twice, since ONNX Runtime cannot share them between its sessions; to avoid this, export "
    "the classifier again"
)
# Loading takes seconds; an older folder of weights was left by a process killed while loading.
LEFT_BEHIND_SECONDS = 3600.0
WEIGHTS = "weights-"
# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
MAX_HEAP_BLOCK_BYTES = 32 << 20
"""In bytes, the maximum of glibc. Larger tensors return to the kernel at once."""
TOP_KEPT = 128 << 20
"""Free bytes kept at the end of the main heap; heaps of threads are half as large."""


def import_runtime() -> ModuleType:
    """Return the package `onnxruntime`; raises CannotStart."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError as error:
        raise CannotStart(
            f"ONNX Runtime is not installed ({error}): install pointsman[cpu] for CPU or pointsman[gpu] for CUDA"
        ) from error


class ProviderUnavailable(Exception):
    """The provider does not exist on this host or in this ONNX Runtime; the message says what to do."""


def require(runtime: ModuleType, provider: str) -> str:
    """Return ONNX Runtime's name of a provider, which is a key of PROVIDERS; raises ProviderUnavailable."""
    name = PROVIDERS[provider]
    if name not in runtime.get_available_providers():
        raise ProviderUnavailable(f"ONNX Runtime has no {name}: {_remedy('cpu' if provider == 'cpu' else 'gpu')}")
    return name


def _remedy(extra: str) -> str:
    """Return how to install the ONNX Runtime of an extra; pip would put it over the other one, and break both."""
    there = any(True for wheel in WHEELS for _ in metadata.distributions(name=wheel))
    first = f"`pip uninstall {' '.join(WHEELS)}`, which have the same files, then " if there else ""
    return f"{first}install pointsman[{extra}]"


@dataclass(frozen=True, slots=True)
class CpuSessions:
    """Two sessions of one graph; `wide` uses all threads, None if there is no such session."""

    narrow: Any
    wide: Any | None
    note: str | None = None
    """A message for the operator."""


def open_cpu(runtime: ModuleType, model: Path, threads: int, scratch: Path) -> CpuSessions:
    """Open a session on one thread, and another on `threads` if there are more, sharing one copy of the weights.

    Concurrent runs on a single-threaded session process 1.1 to 1.3 times the tokens of runs that share a thread pool,
    and a long prompt on an idle host is up to twice as fast on two threads. A single-threaded session runs on its
    caller's thread, so only the other session has a pool. It is not ONNX Runtime's global pool, which spins between
    runs and cannot be configured from Python. To keep the weights in memory once, they are written in the kernels'
    layout to a file in the folder `scratch`; both sessions map it, and it is unlinked before this returns. Raises the
    errors of ONNX Runtime.
    """
    if threads == 1:
        return CpuSessions(_session(runtime, model, 1), None)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(scratch)
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
            note = None if _are_aligned(prepared) else TWICE
            shared = model if note else prepared
            return CpuSessions(_session(runtime, shared, 1), _with_pool(runtime, shared, threads), note)
    except OSError as error:
        note = f"long prompts run on one thread: {scratch} cannot be written ({error.strerror})"
        return CpuSessions(_session(runtime, model, 1), None, note)


def _are_aligned(prepared: Path) -> bool:
    """Return whether the kernels can use the weights inside the file; up to 1.32 some crash otherwise."""
    return all(int(offset) % ALIGNMENT == 0 for offset in PREPACKED.findall(prepared.read_bytes()))


def _with_pool(runtime: ModuleType, model: Path, threads: int) -> Any:
    """Open a session whose pool has the priority of long texts; threads inherit it from the one that starts them."""

    with workers(1, nice=NICE_LONG, name="open") as starter:
        return starter.submit(_session, runtime, model, threads).result()


def _remove_leftovers(scratch: Path) -> None:
    for folder in scratch.glob(f"{WEIGHTS}*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - folder.stat().st_mtime > LEFT_BEHIND_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def set_up_malloc(cores: int) -> None:
    """Let runs reuse the memory of earlier runs, with one malloc arena for each thread; call before any run.

    By default glibc adapts to the sizes that are freed, and requests memory from the kernel for each long run: up to
    13,000 page faults, or 5 % of its time. ONNX Runtime's own arena would keep less, but has one lock for all
    allocations: two concurrent runs of the built-in classifier took more than twice as long.

    There is one arena for each worker and one for the event loop: two workers that share one are a quarter slower.
    Without the limit, glibc would give threads of the next classifier new arenas, and leave the old ones fragmented.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(M_ARENA_MAX, 1 + cores)
        tune(M_MMAP_THRESHOLD, MAX_HEAP_BLOCK_BYTES)
        tune(M_TRIM_THRESHOLD, TOP_KEPT)


def trim_memory() -> None:
    """Return memory freed after loading to the kernel; glibc would keep 90 MB for ModernBERT-base."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _session(runtime: ModuleType, model: Path, threads: int) -> Any:
    return runtime.InferenceSession(model, _options(runtime, threads), providers=[PROVIDERS["cpu"]])


def _options(runtime: ModuleType, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Inside a run of a few ms, sleeping threads would double its time, as it has hundreds of operators; after the run
    # spinning would take CPU from vLLM.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.enable_cpu_mem_arena = False
    # Memory plans save no time, and one is kept for each length ever seen: 100 kB each for ModernBERT-base.
    options.enable_mem_pattern = False
    options.log_severity_level = 3
    sum_exactly(options)
    return options


def sum_exactly(options: Any) -> None:
    """Make int8 products equal on every CPU; for all sessions whose answers count.

    Without VNNI an x86 CPU adds pairs of products in 16 bits, which overflow, and the sum is truncated: with the
    weights of the built-in classifier, the logits are off by 5 %. ONNX Runtime then makes the weights unsigned, and
    widens both factors before it multiplies; runs take a tenth to a fifth longer.
    """
    if not cpu.has_vnni():  # useless elsewhere, and more than twice as slow
        options.add_session_config_entry(EXACT_SUMS, "1")

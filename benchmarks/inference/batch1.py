"""Measure one prompt at a time, on two threads and on one: variants run in separate processes and take turns.

A pause and an untimed call precede every timed one, since threads that still spin in another process would double its
time. The lower bound follows from rates measured in the same rounds: the operations of the linear layers at the rate of
a bare u8 x s8 product, and those of the windowed attention at the rate of a bare float product.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.worker import GEMM_ROWS, LAYER_WEIGHTS
from inference.workplace import HERE, InferenceFolder
from pointsman.classify.artifact import read_manifest

THREADS = 2
PAUSE_SECONDS = 0.03
LAYERS, GLOBAL_LAYERS, WIDTH, WINDOW = 22, 8, 768, 129
SECONDS = {16: 5, 32: 5, 64: 8, 128: 10, 256: 12, 512: 14}
"""Seconds of a pass on two threads by tokens, after which no further round begins; half of it on one."""
PASSES = 3
"""These lengths are measured again and again: what the host changes every minute meets all of them."""
LONG_TOKENS, LONG_SECONDS = 2048, 75
"""The longest calls take seconds, and are measured at the end, in one pass."""
MIN_LONG_ROUNDS = 3
"""At least, however long they take; of other lengths, one a pass."""
MAX_WARMED_TOKENS = 512
"""Longer calls take seconds, so that an untimed call before them makes no difference."""

PRODUCTS = ("int8 product", "float product")
VARIANTS = {
    "PyTorch float": ("torch", "checkpoint", ""),
    "optimum float": ("onnxruntime", "optimum", ""),
    "optimum int8": ("onnxruntime", "optimum-int8", ""),
    "ONNX Runtime int8": ("onnxruntime", "onnxruntime-int8", ""),
    "OpenVINO int8": ("openvino", "openvino-int8", "openvino"),
    "OpenVINO int8, f32": ("openvino f32", "openvino-int8", "openvino"),
    "OpenVINO int8 weights": ("openvino", "openvino-weights", "openvino"),
    "OpenVINO int8 weights, f32": ("openvino f32", "openvino-weights", "openvino"),
    "ours on OpenVINO": ("openvino", "int8-openvino", "openvino"),
    "ours on OpenVINO, f32": ("openvino f32", "int8-openvino", "openvino"),
    "ours float": ("onnxruntime", "float", ""),
    "ours int8 per token": ("onnxruntime", "int8-token", ""),
    "ours int8 per tensor": ("onnxruntime", "int8-tensor", ""),
    "int8 product": ("int8 product", "", ""),
    "float product": ("float product", "", ""),
}
"""Name to the worker's kind, the model, and the peer's venv.

OpenVINO computes everything that is not int8 in bfloat16 if the CPU has it, unless f32 is set.
"""
NOT_ON_ONE = {"PyTorch float", "optimum float", "optimum int8", "ONNX Runtime int8", "ours float"}
"""Variants with no target on one thread, where they would take half of the time."""
MEASURED = {THREADS: VARIANTS, 1: {name: one for name, one in VARIANTS.items() if name not in NOT_ON_ONE}}
"""Variants by threads."""
EXPORTS = {"int8-token", "int8-tensor", "int8-openvino"}
"""Models that `export` made, with a manifest."""

Worker = subprocess.Popen[str]


@dataclass(slots=True)
class Cell:
    """What was measured at one length: milliseconds by variant in the order of the rounds.

    A variant whose process has ended is left out.
    """

    ms: dict[str, list[float]]
    rounds: int = 0


def measure(work: InferenceFolder, share: float) -> dict[str, Any]:
    """Return `ms` by threads, tokens and variant in the order of the rounds, and `proofs`, what `export` verified."""
    times: dict[str, dict[str, dict[str, list[float]]]] = {}
    missing: list[str] = []
    for threads, variants in MEASURED.items():
        with contextlib.ExitStack() as stack:
            workers = {
                name: stack.enter_context(worker)
                for name, (kind, model, venv) in variants.items()
                if (worker := start(work, name, kind, work.model(model), venv, threads))
            }
            cells = in_passes(workers, threads, share)
        times[str(threads)] = {str(tokens): cell.ms for tokens, cell in cells.items()}
        missing += [name for name in variants if name not in workers and name not in missing]
    exports = {name: work.model(model) for name, (_, model, _) in VARIANTS.items() if model in EXPORTS}
    proofs = {name: read_manifest(path).verification for name, path in exports.items() if path.exists()}
    return {"missing": missing, "ms": times, "proofs": proofs}


def in_passes(workers: dict[str, Worker], threads: int, share: float) -> dict[int, Cell]:
    """Return what was measured by tokens: the lengths of SECONDS in each pass, and at the end the longest."""
    budget = share * threads / THREADS
    cells = {tokens: warmed(workers, tokens) for tokens in SECONDS}
    for _ in range(PASSES):
        for tokens, seconds in SECONDS.items():
            take_turns(workers, tokens, cells[tokens], seconds * budget)
    cells[LONG_TOKENS] = warmed(workers, LONG_TOKENS)  # a process that fails at this length has done the others
    min_rounds = max(1, round(MIN_LONG_ROUNDS * share))
    take_turns(workers, LONG_TOKENS, cells[LONG_TOKENS], LONG_SECONDS * budget, min_rounds)
    return cells


def warmed(workers: dict[str, Worker], tokens: int) -> Cell:
    """Run each once, as the first run of a length allocates memory and compiles; return the cell of those that can."""
    return Cell({name: [] for name, worker in workers.items() if _seconds(worker, tokens, 1) is not None})


def take_turns(
    workers: dict[str, Worker],
    tokens: int,
    cell: Cell,
    seconds: float,
    min_rounds: int = 1,
) -> None:
    """Add rounds to the cell, at least so many; each begins with the next variant."""
    ends = time.monotonic() + seconds
    wanted = cell.rounds + min_rounds
    while cell.rounds < wanted or time.monotonic() < ends:
        names = [*cell.ms]
        first = cell.rounds % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(PAUSE_SECONDS)
            taken = _seconds(workers[name], tokens, 2 if tokens <= MAX_WARMED_TOKENS else 1)
            if taken is None:
                print(f"{name} ended at {tokens} tokens", file=sys.stderr)
                del cell.ms[name]
            else:
                cell.ms[name].append(round(taken * 1000, 4))
        cell.rounds += 1
    print(f"{tokens} tokens: {cell.rounds} rounds", flush=True)


def floor_ms(tokens: int, int8_product_ms: float, float_product_ms: float) -> float:
    """Return the lower bound for `tokens`, from the times of one layer's products with GEMM_ROWS rows."""
    layer = sum(rows * columns for rows, columns in LAYER_WEIGHTS)
    linear = LAYERS * int8_product_ms * tokens / GEMM_ROWS
    seen = GLOBAL_LAYERS * tokens + (LAYERS - GLOBAL_LAYERS) * min(tokens, WINDOW)
    attention_operations = 4 * WIDTH * tokens * seen
    return linear + attention_operations * float_product_ms / (2 * layer * GEMM_ROWS)


def start(
    work: InferenceFolder, name: str, kind: str, model: Path, venv: str = "", threads: int = THREADS
) -> Worker | None:
    """Start a variant's process, which ends when its input is closed; return None if it cannot run here."""
    python = work.python(venv) if venv else Path(sys.executable)
    if not python.exists() or not model.exists():
        return None
    with (work.part("logs") / f"{name}.log").open("w") as log:
        worker = subprocess.Popen(
            [str(python), str(HERE / "worker.py"), kind, str(model), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    return worker if _line(worker) == "ready\n" else None


def _seconds(worker: Worker, tokens: int, runs: int) -> float | None:
    """Return the seconds of the last of `runs`; None if the worker ended."""
    assert worker.stdin
    with contextlib.suppress(BrokenPipeError):
        worker.stdin.write(f"{tokens} {runs}\n")
        worker.stdin.flush()
    answer = _line(worker)
    return float(answer) if answer else None


def _line(worker: Worker) -> str:
    assert worker.stdout
    return worker.stdout.readline()

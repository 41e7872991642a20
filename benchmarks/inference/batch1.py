"""One prompt at a time: every variant a process of its own, all taking turns, against what the hardware allows.

A pause and an untimed call come before every timed one: threads that still spin in another process would double its
time. The floor follows from rates that are measured in the same rounds: the linear layers' operations at the rate of
a bare u8 x s8 product, and the windowed attention's at that of a bare float product.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.operators import profile
from inference.worker import GEMM_ROWS, LAYER_WEIGHTS
from inference.workplace import HERE, Workplace
from pointsman.classify.artifact import BUILTIN, read_manifest

PAUSE_S = 0.03
LAYERS, GLOBAL_LAYERS, WIDTH, WINDOW = 22, 8, 768, 129
# Tokens: rounds, and seconds after which no further one begins.
PLAN = {16: (15, 30), 32: (15, 30), 64: (15, 35), 128: (11, 50), 256: (9, 55), 512: (5, 65), 2048: (3, 90)}
LONGEST_ON_ONE_THREAD = 512
LONGEST_WARMED = 512
"""An untimed call tells nothing before one that takes seconds."""
FEWEST_ROUNDS = 2
PROFILED = {"ours int8 per token": "int8-token", "ours int8 per tensor": "int8-tensor"}
PROFILED_TOKENS = (128, 2048)


@dataclass(frozen=True, slots=True)
class Variant:
    name: str
    kind: str
    model: str
    threads: int
    venv: str = ""


VARIANTS = [
    Variant("PyTorch float", "torch", "checkpoint", 2),
    *(
        Variant(name, kind, model, threads, venv)
        for name, kind, model, venv in (
            ("optimum float", "onnxruntime", "optimum", ""),
            ("optimum int8", "onnxruntime", "optimum-int8", ""),
            ("OpenVINO int8", "openvino", "openvino-int8", "openvino"),
            ("ours float", "onnxruntime", "float", ""),
            ("ours int8 per token", "onnxruntime", "int8-token", ""),
            ("ours int8 per tensor", "onnxruntime", "int8-tensor", ""),
            ("built-in", "onnxruntime", str(BUILTIN), ""),
            ("int8 product", "int8 product", "", ""),
            ("float product", "float product", "", ""),
        )
        for threads in (2, 1)
    ),
]


def measure(work: Workplace, share: float) -> dict[str, Any]:
    """`threads`: milliseconds by threads, tokens and variant, in the order of the rounds.

    `operators`: milliseconds by model, tokens and operator; `proofs`: what was verified of each model at its export.
    """
    results: dict[str, Any] = {"threads": {}}
    workers = [Worker(variant, work) for variant in VARIANTS]
    try:
        ready = [worker for worker in workers if worker.started()]
        results["missing"] = sorted({worker.name for worker in workers} - {worker.name for worker in ready})
        for tokens, (rounds, seconds) in PLAN.items():
            _measure(ready, tokens, max(FEWEST_ROUNDS, round(rounds * share)), seconds * share, results["threads"])
    finally:
        for worker in workers:
            worker.stop()
    models = {name: work.model(model) for name, model in PROFILED.items() if work.model(model).exists()}
    results["operators"] = {
        name: {str(tokens): profile(model / "model.onnx", tokens) for tokens in PROFILED_TOKENS}
        for name, model in models.items()
    }
    results["proofs"] = {name: read_manifest(model).verification for name, model in models.items()}
    return results


def _measure(workers: list[Worker], tokens: int, rounds: int, seconds: float, found: dict[str, Any]) -> None:
    wanted = [worker for worker in workers if worker.threads == 2 or tokens <= LONGEST_ON_ONE_THREAD]
    # The first run of a length lays out memory and compiles.
    taking_part = [worker for worker in wanted if worker.run(tokens, 1) is not None]
    ends = time.monotonic() + seconds
    for done in range(rounds):
        if done >= FEWEST_ROUNDS and time.monotonic() > ends:
            break
        for worker in taking_part[done % len(taking_part) :] + taking_part[: done % len(taking_part)]:
            time.sleep(PAUSE_S)
            taken = worker.run(tokens, 2 if tokens <= LONGEST_WARMED else 1)
            cell = found.setdefault(str(worker.threads), {}).setdefault(str(tokens), {})
            cell.setdefault(worker.name, []).append(round(taken * 1000, 4))
    print(f"{tokens} tokens: {done + 1} rounds at most", flush=True)


def floor_ms(tokens: int, int8_product_ms: float, float_product_ms: float) -> float:
    """What a call of `tokens` takes at least, from the time that a layer's products of GEMM_ROWS rows take."""
    layer = sum(rows * columns for rows, columns in LAYER_WEIGHTS)
    linear = LAYERS * int8_product_ms * tokens / GEMM_ROWS
    seen = GLOBAL_LAYERS * tokens + (LAYERS - GLOBAL_LAYERS) * min(tokens, WINDOW)
    attention_operations = 4 * WIDTH * tokens * seen
    return linear + attention_operations * float_product_ms / (2 * layer * GEMM_ROWS)


class Worker:
    """A variant's process."""

    def __init__(self, variant: Variant, work: Workplace) -> None:
        self.name, self.threads = variant.name, variant.threads
        python = work.python(variant.venv) if variant.venv else Path(sys.executable)
        model = work.model(variant.model) if variant.model else Path("none")
        self._process = None
        if not python.exists() or (variant.model and not model.exists()):
            return
        log = (work.part("logs") / f"{variant.name} {variant.threads}.log").open("wb")
        self._process = subprocess.Popen(
            [str(python), str(HERE / "worker.py"), variant.kind, str(model), str(variant.threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
        log.close()

    def started(self) -> bool:
        return self._process is not None and self._process.stdout.readline() == "ready\n"

    def run(self, tokens: int, runs: int) -> float | None:
        """Seconds of the last of `runs`; None where the variant cannot take so many tokens, which ended its process."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{tokens} {runs}\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        return float(answer) if answer else None

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

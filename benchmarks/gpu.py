"""Measure an artifact on a CUDA device: gpu.py SOURCE, an artifact for GPU or a checkpoint to export.

Measures the median latency of one prompt by tokens, and the throughput of short prompts in full runs, and writes
benchmarks/results/gpu.json. Exits with 3 if there is no CUDA device. It has not been run on one yet.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance

from pointsman.classify import artifact
from pointsman.classify.onnx_cpu import Engine
from pointsman.classify.onnx_cuda import BUCKETS
from pointsman.classify.runtime import Unavailable, import_runtime, require
from pointsman.classify.tokenizer import Ids
from pointsman.errors import CannotStart

RESULT = Path(__file__).parent / "results" / "gpu.json"
CANNOT_START = 3
RUNS, WARM_UP = 200, 5
SHORT_TOKENS = 16
PROMPTS_S = 5.0
VOCABULARY = 1000
"""Token ids below this exist in every tokenizer."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="SOURCE")
    source: Path = parser.parse_args().source
    try:
        require(import_runtime(), "cuda")  # before the export, which takes minutes
        with tempfile.TemporaryDirectory() as folder:
            if not (source / artifact.MANIFEST).exists():
                source, checkpoint = Path(folder) / "gpu", source
                command = ["pointsman", "export", str(checkpoint), "-o", str(source), "--target", "gpu"]
                subprocess.run([sys.executable, "-m", *command], check=True)
            found = measure(source)
    except (CannotStart, Unavailable) as error:
        print(f"no CUDA device: {error}", file=sys.stderr)
        return CANNOT_START
    card = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout.strip()
    RESULT.write_text(json.dumps(provenance() | {"device": card, "found": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    return 0


def measure(folder: Path) -> dict[str, Any]:
    """Return `latency_ms` by tokens and `short_per_second` by prompts of a run. Raises CannotStart without a device."""
    loaded = artifact.load(folder)
    engine = Engine(loaded, ["cuda"])
    lengths = [tokens for tokens in BUCKETS if tokens <= loaded.manifest.max_tokens]
    sizes = [tokens // SHORT_TOKENS for tokens in BUCKETS]
    return {
        "latency_ms": {tokens: round(latency_ms(engine, [prompt(tokens)]), 3) for tokens in lengths},
        "short_per_second": {size: round(per_second(engine, [prompt(SHORT_TOKENS)] * size), 1) for size in sizes},
    }


def latency_ms(engine: Engine, batch: list[Ids]) -> float:
    """Return the median of RUNS, after the CUDA graph was captured."""
    times = []
    for _ in range(WARM_UP + RUNS):
        started = time.perf_counter()
        engine.run(batch)
        times.append(time.perf_counter() - started)
    return statistics.median(times[WARM_UP:]) * 1000


def per_second(engine: Engine, batch: list[Ids]) -> float:
    """Return prompts per second over consecutive runs."""
    engine.run(batch)
    runs, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < PROMPTS_S:
        engine.run(batch)
        runs += 1
    return runs * len(batch) / passed


def prompt(tokens: int) -> Ids:
    return np.random.default_rng(tokens).integers(3, VOCABULARY, tokens)


if __name__ == "__main__":
    sys.exit(main())

"""Measure an artifact on a CUDA device, as it serves: gpu.py SOURCE, an artifact for GPU or a checkpoint to export.

All texts pass the scheduler, from the event loop, without the cache. Measured are the latency of one text by tokens,
that of the first one after the start, the throughput of short texts by the number that is in flight, the memory of the
card and who else uses it, and how near the scores are to those of the same graph on the CPU. Writes
benchmarks/results/gpu.json, and inference.md with it; exits with 3 if there is no CUDA device. It has not been run on
one yet.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from inference import report
from provenance import provenance
from target import quantile

from pointsman.classify import artifact
from pointsman.classify.artifact import Artifact
from pointsman.classify.classifier import Classifier
from pointsman.classify.onnx_cuda import BUCKETS
from pointsman.classify.runtime import ProviderUnavailable, import_runtime, require
from pointsman.config.model import ClassifierOptions
from pointsman.errors import CannotStart
from support.classifiers import opened

RESULT = Path(__file__).parent / "results" / "gpu.json"
PROMPTS = Path(__file__).parents[1] / "tests" / "data" / "prompts.jsonl"
CANNOT_START = 3
RUNS = 200
IN_FLIGHT = (1, 8, 32, 128)
WINDOW_SECONDS = 5.0
DEADLINE_MS = 60_000


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
            found = measure(artifact.load(source), "cuda")
    except (CannotStart, ProviderUnavailable) as error:
        print(f"no CUDA device: {error}", file=sys.stderr)
        return CANNOT_START
    RESULT.write_text(json.dumps(provenance() | {"found": found}, indent=1) + "\n")
    print(json.dumps(found, indent=1))
    report.main()
    return 0


def measure(
    loaded: Artifact, provider: Literal["cuda", "cpu"], *, runs: int = RUNS, seconds: float = WINDOW_SECONDS
) -> dict[str, Any]:
    """Return the figures of an artifact; raises CannotStart without a device."""
    texts = [json.loads(line)["text"] for line in PROMPTS.read_text("utf-8").split("\n") if line]
    before = card()
    with _classifier(loaded, provider) as classifier:
        ready = card()
        found = {
            "settings": classifier.settings(),
            "latency_ms": asyncio.run(latencies(classifier, runs)),
            "short_texts": {count: asyncio.run(throughput(classifier, texts, count, seconds)) for count in IN_FLIGHT},
        }
        used = card()
        scores = asyncio.run(probabilities(classifier, texts))
    with _classifier(loaded, "cpu") as on_cpu:
        reference = asyncio.run(probabilities(on_cpu, texts))
    return found | {
        "card": {"before": before, "ready": ready, "used": used},
        "fidelity": {
            "texts": len(texts),
            "labels_kept": float((scores.argmax(axis=1) == reference.argmax(axis=1)).mean()),
            "largest_difference": round(float(np.abs(scores - reference).max()), 6),
        },
    }


def _classifier(loaded: Artifact, provider: Literal["cuda", "cpu"]) -> AbstractContextManager[Classifier]:
    return opened(loaded, ClassifierOptions(providers=(provider,), cache_entries=0, deadline_ms=DEADLINE_MS))


async def latencies(classifier: Classifier, runs: int) -> dict[int, dict[str, float]]:
    """Return the first and the median milliseconds of a text alone, by tokens."""
    found = {}
    for tokens in (bucket for bucket in BUCKETS if bucket <= classifier.artifact.manifest.max_tokens):
        times = []
        for _ in range(runs):
            started = time.perf_counter()
            await classifier.classify("word " * (tokens - 2))
            times.append((time.perf_counter() - started) * 1000)
        found[tokens] = {"first": round(times[0], 3), "median": round(statistics.median(times), 3)}
    return found


async def throughput(classifier: Classifier, texts: list[str], in_flight: int, seconds: float) -> dict[str, float]:
    """Return texts per second and their milliseconds with `in_flight` at any time; no text comes twice in a run."""
    times: list[float] = []
    ends = time.perf_counter() + seconds
    different = _different(texts)

    async def client() -> None:
        while (started := time.perf_counter()) < ends:
            await classifier.classify(next(different))
            times.append((time.perf_counter() - started) * 1000)

    started = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(in_flight)))
    passed = time.perf_counter() - started
    shares = {f"p{share}_ms": round(quantile(times, share / 100), 3) for share in (50, 95)}
    return {"per_second": round(len(times) / passed, 1), **shares}


def _different(texts: list[str]) -> Iterator[str]:
    for number in itertools.count():
        yield from (f"{number} {text}" for text in texts)


async def probabilities(classifier: Classifier, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([(await classifier.classify(text)).probabilities for text in texts])


def card() -> dict[str, Any] | None:
    """Return the cards' memory in MiB and the processes on them, vLLM's too; None without nvidia-smi."""
    try:
        cards, processes = (
            subprocess.run(
                ["nvidia-smi", f"--query-{what}", "--format=csv,noheader,nounits"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()
            for what in ("gpu=name,driver_version,memory.total,memory.used", "compute-apps=process_name,used_memory")
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"cards": cards, "processes": processes, "vllm": any("vllm" in line.lower() for line in processes)}


if __name__ == "__main__":
    sys.exit(main())

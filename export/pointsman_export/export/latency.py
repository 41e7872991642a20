"""Measure the latency of one prompt on this host."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable

import numpy as np

from pointsman.classify.cores import usable_cores
from pointsman.classify.tokenizer import Ids
from pointsman_export.export.runtime import RunnableGraph

TOKENS = (32, 128)
MORE_TOKENS = (*TOKENS, 512)
"""For a choice between two engines, each of which may be faster at some lengths."""
RUNS = 15


def measure(
    graphs: dict[str, RunnableGraph], vocabulary: int, sizes: Iterable[int] = TOKENS
) -> dict[int, dict[str, float]]:
    """Return the median milliseconds by number of tokens, of `sizes`, and graph.

    The graphs alternate, so that other load on the host affects them alike.
    """
    random = np.random.default_rng(2)
    medians = {}
    for tokens in sizes:
        prompt = random.integers(0, vocabulary, tokens)
        times: dict[str, list[float]] = {name: [] for name in graphs}
        for _ in range(RUNS + 1):
            for name, graph in graphs.items():
                times[name].append(_milliseconds(graph, prompt))
        medians[tokens] = {name: statistics.median(values[1:]) for name, values in times.items()}
    return medians


def thread_counts() -> tuple[int, ...]:
    """Return the numbers of threads, up to two, on which this process can compare two engines."""
    return (1, 2) if usable_cores() > 1 else (1,)


def _milliseconds(graph: RunnableGraph, prompt: Ids) -> float:
    start = time.perf_counter()
    graph.logits([prompt])
    return (time.perf_counter() - start) * 1e3

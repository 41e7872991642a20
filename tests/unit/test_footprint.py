"""What the classifier takes of the host: threads and memory, of a process that does nothing else."""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.classify.encoder import Encoder
from pointsman.classify.language import LanguageGate
from pointsman.classify.runtime import WEIGHTS as WEIGHTS_FOLDER
from pointsman.classify.runtime import import_runtime, set_up_malloc, trim_memory
from pointsman.config.model import ClassifierOptions
from support import needs, toy_artifact
from support.config_files import LABELS
from support.process import PATIENCE_SECONDS

pytestmark = pytest.mark.heavy

MIB = 2**20
PAGE = os.sysconf("SC_PAGE_SIZE")
WIDTH = 4096
WEIGHTS = WIDTH * WIDTH * 4
"""Bytes of the heavy artifact's weights."""


def in_a_process_of_its_own(function: str, folder: Path, *arguments: int) -> int:
    """What a function of this module returns there."""
    tests = str(Path(__file__).parents[1])
    code = f"from unit import test_footprint as m; from pathlib import Path; print(m.{function}(Path({str(folder)!r}), "
    done = subprocess.run(
        [sys.executable, "-c", code + f"*{arguments}))"],
        env={name: value for name, value in os.environ.items() if name != "TOKENIZERS_PARALLELISM"}
        | {"PYTHONPATH": os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def memory() -> int:
    """Bytes of the heap, without what the C library would give back, and of mapped weights.

    The proportional size, because a page that two sessions map is resident twice by name and once in truth.
    """
    trim_memory()
    total, counted = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        first, *rest = line.split()
        if "-" in first:
            name = rest[-1] if len(rest) > 4 else ""
            counted = name in {"", "[heap]"} or WEIGHTS_FOLDER in line
        elif first == "Pss:" and counted:
            total += int(rest[0]) * 1024
    return total


def threads_now() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())


def threads_started(folder: Path, threads: int) -> int:
    """By a classifier that classified a text, without those of ONNX Runtime's import."""
    import_runtime()
    before = threads_now()
    found = artifact.load(folder)
    encoder = Encoder(found, ClassifierOptions(threads=threads, deadline_ms=60_000))
    asyncio.run(Classifier(encoder, found).classify("python"))
    ended = time.monotonic() + PATIENCE_SECONDS
    while threads_now() - before != threads and time.monotonic() < ended:
        time.sleep(0.01)  # a thread that was joined is there for a moment longer
    return threads_now() - before


def memory_taken(folder: Path, threads: int) -> int:
    """By a classifier whose sessions have all run, without ONNX Runtime itself."""
    import_runtime()
    before = memory()
    Encoder(artifact.load(folder), ClassifierOptions(threads=threads))
    return memory() - before


def gate_taken(_: Path) -> int:
    """By the language gate."""
    import_runtime()
    before = memory()
    gate = LanguageGate(["en"])
    gate.judge("What does the daemon measure first?")
    return memory() - before


def pages_taken(_: Path, set_up: int) -> int:
    """From the kernel, by a thread that frees six blocks of 8 MiB and allocates as many; the least of three rounds."""
    if set_up:
        set_up_malloc(2)
    library = ctypes.CDLL(None)
    library.malloc.restype = ctypes.c_void_p
    library.malloc.argtypes = library.free.argtypes = [ctypes.c_size_t]
    library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

    def run() -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        blocks = [library.malloc(8 * MIB) for _ in range(6)]
        for block in blocks:
            library.memset(block, 1, 8 * MIB)
        for block in blocks:
            library.free(block)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    with ThreadPoolExecutor(1) as worker:
        return min([worker.submit(run).result() for _ in range(4)][1:])


def growth(folder: Path, texts: int) -> int:
    """Bytes, by texts of random lengths, from several sides at once, after as many that came before.

    The least of three rounds: what texts leave behind grows in each, what the allocator holds in one or two.
    """

    lengths = np.random.default_rng(0)

    async def classify(classifier: Classifier) -> None:
        for start in range(0, texts, 4):
            some = [f"{number} " * int(lengths.integers(1, 512)) for number in range(start, start + 4)]
            await asyncio.gather(*map(classifier.classify, some))

    async def grown() -> int:
        options = ClassifierOptions(threads=2, deadline_ms=600_000, cache_entries=0)
        found = artifact.load(folder)
        classifier = Classifier(Encoder(found, options), found)
        taken = []
        for _ in range(4):
            await classify(classifier)
            taken.append(memory())
        return min(after - before for before, after in pairwise(taken))

    return asyncio.run(grown())


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_there_are_no_threads_but_the_workers_and_one_pool(toy_folder: Path, threads: int) -> None:
    """A text that is alone needs one worker; the wide session's pool has the rest of `threads`."""
    assert in_a_process_of_its_own("threads_started", toy_folder, threads) == threads


@pytest.fixture
def heavy_folder(tmp_path: Path) -> Path:
    """The toy artifact behind a product with a matrix of WEIGHTS bytes."""
    tokens = len(toy_artifact.WORDS) + 4
    constants = {
        "rows": np.zeros((tokens, WIDTH), np.float32),
        "matrix": np.random.default_rng(0).random((WIDTH, WIDTH), np.float32),
        "votes": np.zeros((WIDTH, len(LABELS)), np.float32),
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("Gather", ["rows", "input_ids"], ["embedded"]),
        helper.make_node("MatMul", ["embedded", "matrix"], ["product"]),
        helper.make_node("MatMul", ["product", "votes"], ["each"]),
        helper.make_node("ReduceSum", ["each", "axis"], ["logits"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "heavy",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "tokens"])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return toy_artifact.build(tmp_path, {"model.onnx": model.SerializeToString()}, max_tokens=32)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_weights_are_in_memory_once(heavy_folder: Path, threads: int) -> None:
    assert in_a_process_of_its_own("memory_taken", heavy_folder, threads) < 1.5 * WEIGHTS


def test_the_language_gate_takes_little(tmp_path: Path) -> None:
    """Its library alone would take 63 MiB, which is more than the classifier does."""
    assert in_a_process_of_its_own("gate_taken", tmp_path) < 45 * MIB


def test_a_run_uses_the_memory_of_an_earlier_one(tmp_path: Path) -> None:
    """ModernBERT-base takes 30 MiB for 512 tokens. Left to itself, glibc gives back and takes all of it each time."""
    if platform.libc_ver()[0] != "glibc":
        needs.lacking("no glibc: other C libraries have no such settings")
    assert in_a_process_of_its_own("pages_taken", tmp_path, True) < MIB // PAGE
    assert in_a_process_of_its_own("pages_taken", tmp_path, False) > 8 * MIB // PAGE


def test_texts_of_ever_new_lengths_leave_nothing_behind() -> None:
    assert in_a_process_of_its_own("growth", artifact.BUILTIN, 40) < 8 * MIB

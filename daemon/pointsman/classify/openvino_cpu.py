"""Run a graph on OpenVINO, which is faster than ONNX Runtime on some CPUs."""

from __future__ import annotations

import importlib
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from pointsman.classify.runtime import ProviderUnavailable
from pointsman.classify.tokenizer import Ids
from pointsman.classify.workers import NICE_LONG, NICE_SHORT, workers

Array = npt.NDArray[np.float32]

ARITHMETIC = {"int8-f32": "f32", "int8-bf16": "bf16"}
"""By the precision of an artifact: the type of everything that is not int8."""

# OpenVINO compiles for each length of a text, and keeps the results in two caches: operators, for each stream of a
# compiled form, and kernels, for the process. By default 300 lengths take 380 MB in one stream, and further ones more;
# with these limits all lengths take 120 MB. Texts of 98 different lengths take a tenth longer so.
CACHED_OPERATORS = 128
CACHED_KERNELS = 128


def import_openvino() -> ModuleType:
    """Return the package `openvino`; raises ProviderUnavailable."""
    # On import, the package reports usage to Google Analytics, unless this module is missing.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    # The only way to limit it; read once, when the first kernel is compiled.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(CACHED_KERNELS))
    try:
        return importlib.import_module("openvino")
    except ImportError as error:
        raise ProviderUnavailable(f"OpenVINO is not installed ({error}): install pointsman[openvino]") from error


class OpenVinoRunner:
    """A graph compiled twice: for runs on one thread each, and, with several threads, for runs on all of them.

    Each form has its own copy of the weights. Prompts run one by one: the daemon's texts seldom have one length, and
    nothing is padded.
    """

    def __init__(self, model: Path, precision: str, threads: int, wanted: Sequence[str] = ("logits",)) -> None:
        """Take `precision`, a key of ARITHMETIC, and the outputs that runs return.

        Raises ProviderUnavailable, and the errors of OpenVINO.
        """
        openvino = import_openvino()
        self.version: str = openvino.get_version()
        core = openvino.Core()
        read = core.read_model(model)
        self.inputs = [value.any_name for value in read.inputs]
        self.outputs = [value.any_name for value in read.outputs]

        def compiled(streams: int, nice: int) -> _RequestPool:
            options = {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": streams,
                "INFERENCE_PRECISION_HINT": ARITHMETIC[precision],
                "ENABLE_CPU_PINNING": False,  # the event loop and vLLM use the same cores
                "CPU_RUNTIME_CACHE_CAPACITY": CACHED_OPERATORS,
            }
            # OpenVINO's threads inherit the priority of the one that compiles.
            with workers(1, nice=nice, name="compile") as starter:
                return _RequestPool(starter.submit(core.compile_model, read, "CPU", options).result(), wanted)

        self._narrow = compiled(threads, NICE_SHORT)
        self._wide = compiled(1, NICE_LONG) if threads > 1 else None

    def narrow(self, batch: Sequence[Ids]) -> list[Array]:
        """Return each output, shape [prompts, width], computed on one thread; several threads may call it."""
        return self._narrow.run(batch)

    @property
    def wide(self) -> Callable[[Sequence[Ids]], list[Array]] | None:
        """Return `narrow` on all threads, or None if there is one."""
        return None if self._wide is None else self._wide.run

    def close(self) -> None:
        """End all runs with an error, and let no more start; call from any thread.

        A prompt that begins at this very moment still runs to its end.
        """
        self._narrow.close()
        if self._wide is not None:
            self._wide.close()


class _RequestPool:
    """The runs of one compiled form; there are as many requests as there were concurrent runs."""

    def __init__(self, compiled: Any, wanted: Sequence[str]) -> None:
        self._compiled = compiled
        self._wanted = wanted
        self._idle: deque[Any] = deque()
        self._running: set[Any] = set()
        self._closed = False

    def run(self, batch: Sequence[Ids]) -> list[Array]:
        try:
            request = self._idle.pop()
        except IndexError:
            request = self._compiled.create_infer_request()
        self._running.add(request)
        try:
            return [np.concatenate(rows) for rows in zip(*(self._one(request, ids) for ids in batch), strict=True)]
        finally:
            self._running.discard(request)
            self._idle.append(request)

    def _one(self, request: Any, ids: Ids) -> list[Array]:
        if self._closed:
            raise RuntimeError("the engine was stopped")
        row = ids[np.newaxis]
        # Not `infer`, which in a form with one thread runs on the caller's, where no stop can end it.
        request.start_async({"input_ids": row, "attention_mask": np.ones_like(row)})
        request.wait()
        return [request.get_tensor(name).data.copy() for name in self._wanted]  # the next run writes to this memory

    def close(self) -> None:
        self._closed = True
        for request in list(self._running):
            request.cancel()

"""Run one variant in its own process, so that no other threads spin in it: worker.py KIND PATH THREADS.

Reads lines of `TOKENS RUNS` and answers each with the seconds of the last run; prints `ready` first. Runs in a peer's
venv, so it imports nothing of ours except for our own graphs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = 2000
GEMM_ROWS = 512
LAYER_WEIGHTS = ((768, 2304), (768, 768), (768, 2304), (1152, 768))
"""Weights of the linear layers in one layer of ModernBERT-base."""

Ids = np.ndarray[Any, np.dtype[np.int64]]
Feed = Callable[[Ids], Any]
"""Returns the inputs of a prompt of these tokens, shape [1, tokens]."""
Run = Callable[[Any], Any]
"""Runs the model."""


def torch_float(path: Path, threads: int) -> tuple[Feed, Run]:
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.set_num_threads(threads)
    config = AutoConfig.from_pretrained(path)
    config.reference_compile = False  # of ModernBERT
    model = AutoModelForSequenceClassification.from_pretrained(path, config=config).eval()

    def run(ids: torch.Tensor) -> object:
        with torch.inference_mode():
            return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits

    return torch.from_numpy, run


def onnxruntime_graph(path: Path, threads: int) -> tuple[Feed, Run]:
    session = _session(str(path / "model.onnx"), threads, as_served=(path / "pointsman.json").exists())
    names = [item.name for item in session.get_inputs()]
    packed = "starts" in names

    def feed(ids: Ids) -> Any:
        if not packed:
            return unpacked(names, ids)
        from pointsman.classify.packing import pack

        return pack(list(ids))

    return feed, lambda inputs: session.run(None, inputs)[0]


def openvino_graph(precision: str | None, path: Path, threads: int) -> tuple[Feed, Run]:
    import openvino

    options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        options["INFERENCE_PRECISION_HINT"] = precision
    model = next(file for file in (path / "model.xml", path / "model.onnx") if file.exists())
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    names = [value.get_any_name() for value in request.model_inputs]

    return partial(unpacked, names), lambda inputs: request.infer(inputs)[0]


def unpacked(names: list[str], ids: Ids) -> dict[str, Ids]:
    """Return the inputs of a graph as transformers has them: nothing is masked."""
    filled = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return {name: filled[name] for name in names}


def product(operator: str, activation: type, weight: type, _: Path, threads: int) -> tuple[Feed, Run]:
    """Run the bare products of one layer, with GEMM_ROWS rows for any number of tokens, to measure their rate."""
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)
    nodes: list[Any] = []
    weights: list[Any] = []
    inputs: dict[str, Any] = {}
    outputs: list[Any] = []
    for index, (rows, columns) in enumerate(LAYER_WEIGHTS):
        values: Any = random.integers(-100, 100, (rows, columns)).astype(weight)
        weights.append(numpy_helper.from_array(values, f"weight{index}"))
        inputs[f"in{rows}"] = random.integers(0, 200, (GEMM_ROWS, rows)).astype(activation)
        nodes.append(helper.make_node(operator, [f"in{rows}", f"weight{index}"], [f"out{index}"]))
        outputs.append(f"out{index}")
    kinds = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in inputs.items()}
    result = helper.np_dtype_to_tensor_dtype(np.dtype(np.int32 if weight is np.int8 else np.float32))
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info(name, kind, [GEMM_ROWS, None]) for name, kind in kinds.items()],
        [helper.make_tensor_value_info(name, result, [GEMM_ROWS, None]) for name in outputs],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = _session(model.SerializeToString(), threads, as_served=True)
    return lambda _: inputs, lambda feed: session.run(None, feed)[0]


KINDS: dict[str, Callable[[Path, int], tuple[Feed, Run]]] = {
    "torch": torch_float,
    "onnxruntime": onnxruntime_graph,
    "openvino": partial(openvino_graph, None),
    "openvino f32": partial(openvino_graph, "f32"),
    "int8 product": partial(product, "MatMulInteger", np.uint8, np.int8),
    "float product": partial(product, "MatMul", np.float32, np.float32),
}


def main() -> None:
    kind, path, threads = sys.argv[1:]
    feed, run = KINDS[kind](Path(path), int(threads))
    print("ready", flush=True)
    for line in sys.stdin:
        tokens, runs = map(int, line.split())
        inputs = feed(_ids(tokens))
        for _ in range(runs):
            started = time.perf_counter()
            run(inputs)
            seconds = time.perf_counter() - started
        print(seconds, flush=True)


def _ids(tokens: int) -> Ids:
    return np.random.default_rng(tokens).integers(3, VOCABULARY, (1, tokens))


def _session(model: str | bytes, threads: int, *, as_served: bool) -> Any:
    """Open a graph; as the daemon does, its sums are exact on any CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if as_served:
        from pointsman.classify.runtime import sum_exactly

        sum_exactly(options)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    main()

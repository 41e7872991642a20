"""The products of int8 that answers are made of, on whatever CPU this is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pointsman.classify.runtime import import_runtime, open_cpu
from pointsman_export.export.runtime import OnnxGraph

DEPTH, WIDTH = 64, 48
ROW = np.full((1, DEPTH), 255, np.uint8)
WEIGHTS = np.full((DEPTH, WIDTH), 127, np.int8)
"""Each pair of products is 64,770, and 16 bits hold up to 32,767."""
ZERO_POINT = 128


def graph() -> onnx.ModelProto:
    """Both operators that our graphs are made of, with the largest factors."""
    constants = {
        "integers": WEIGHTS,
        "weights": WEIGHTS,
        "one": np.array(1.0, np.float32),
        "ones": np.ones(WIDTH, np.float32),
        "zero_point": np.array(ZERO_POINT, np.uint8),
    }
    nodes = [
        helper.make_node("MatMulInteger", ["row", "integers"], ["sums"]),
        helper.make_node(
            "MatMulIntegerToFloat",
            ["row", "weights", "one", "ones", "zero_point"],
            ["shifted"],
            domain="com.microsoft",
        ),
    ]
    made = helper.make_graph(
        nodes,
        "products",
        [helper.make_tensor_value_info("row", TensorProto.UINT8, [1, DEPTH])],
        [
            helper.make_tensor_value_info("sums", TensorProto.INT32, [1, WIDTH]),
            helper.make_tensor_value_info("shifted", TensorProto.FLOAT, [1, WIDTH]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    domains = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(made, opset_imports=domains, ir_version=10)


def of_the_daemon(folder: Path, threads: int) -> list[Any]:
    file = folder / "model.onnx"
    onnx.save(graph(), file)
    opened = open_cpu(import_runtime(), file, threads, folder / "state")
    assert opened.note is None
    return [session for session in (opened.narrow, opened.wide) if session is not None]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_daemon_sums_them_exactly(tmp_path: Path, threads: int) -> None:
    """On both of its sessions: an x86 CPU without VNNI would cut each pair off at 16 bits."""
    opened = of_the_daemon(tmp_path, threads)
    assert len(opened) == threads
    for session in opened:
        assert_exact(session)


def test_so_does_what_exports_one(tmp_path: Path) -> None:
    """By which `export` decides which layers stay in float, and what it records as known answers."""
    file = tmp_path / "model.onnx"
    onnx.save(graph(), file)
    assert_exact(OnnxGraph(file)._session)


def assert_exact(session: Any) -> None:
    sums, shifted = session.run(["sums", "shifted"], {"row": ROW})
    assert np.array_equal(sums, ROW.astype(np.int64) @ WEIGHTS)
    assert np.array_equal(shifted, (ROW.astype(np.int64) - ZERO_POINT) @ WEIGHTS)

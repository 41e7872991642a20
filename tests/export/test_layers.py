"""What of the encoder a head reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from pointsman_export.export.layers import with_layers

MASK = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]], np.float32)
TOKENS = np.random.default_rng(0).standard_normal((1, 5, 4)).astype(np.float32)


def encoder(norms: int, *, pool: str = "MatMul") -> onnx.ModelProto:
    """Return a packed graph of so many norms, each of the double of the one before, and a classifier on the mean."""
    nodes, name = [], "hidden"
    for number in range(norms):
        nodes.append(helper.make_node("Exp", [name], [f"moved{number}"]))
        nodes.append(helper.make_node("LayerNormalization", [f"moved{number}", "scale"], [f"norm{number}"]))
        name = f"norm{number}"
    nodes += [
        helper.make_node("Squeeze", [name, "first"], ["rows"]),
        helper.make_node("Cast", ["rows"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node(pool, ["mask", "floats"], ["sums"]),
        helper.make_node("ReduceSum", ["mask", "last"], ["counts"]),
        helper.make_node("Div", ["sums", "counts"], ["mean"]),
        helper.make_node("Gemm", ["mean", "w", "b"], ["logits"], transB=1),
    ]
    weights = {
        "scale": np.array([1, 2, 3, 4], np.float32),
        "first": np.array([0]),
        "last": np.array([-1]),
        "mask": MASK,
        "w": np.ones((3, 4), np.float32),
        "b": np.zeros(3, np.float32),
    }
    inputs = [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, [1, 5, 4])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [2, 3])]
    tensors = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    return helper.make_model(helper.make_graph(nodes, "encoder", inputs, outputs, tensors))


def values(model: onnx.ModelProto, name: str) -> np.ndarray:
    [found] = ReferenceEvaluator(model).run([name], {"hidden": TOKENS})
    return np.asarray(found)


def test_a_head_reads_the_means_of_the_middle_and_the_last_norm() -> None:
    model, features = with_layers(encoder(5), "mean")
    steps = [node.op_type for node in model.graph.node][-5:]
    assert steps == ["Squeeze", "Cast", "MatMul", "Div", "Concat"], "those of the last norm in their order"
    norms = [values(model, name)[0] for name in ("norm2", "norm4")]

    expected = np.hstack([MASK @ norm / MASK.sum(1, keepdims=True) for norm in norms])
    np.testing.assert_allclose(values(model, features), expected, atol=1e-6)


@pytest.mark.parametrize("model", [encoder(3, pool="Add"), encoder(0)], ids=["no mean", "no norm"])
def test_other_forms_stay_as_they_are(model: onnx.ModelProto) -> None:
    assert with_layers(model, "mean") == (model, "mean")


def test_features_that_are_no_mean_stay_as_they_are() -> None:
    assert with_layers(encoder(3), "norm2")[1] == "norm2"

"""The tensor of a graph that heads read."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from pointsman_export.common.errors import GraphError
from pointsman_export.export.pooled import features_name


def graph(*nodes: onnx.NodeProto) -> onnx.ModelProto:
    """Nodes from `pooled` to `logits` with the weights `w` and `v` and the bias `b`."""
    tensors = [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in _WEIGHTS.items()]
    inputs = [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", "tokens", 4])]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])]
    pool = helper.make_node("ReduceMax", ["hidden", "axis"], ["pooled"], keepdims=0)
    return helper.make_model(helper.make_graph([pool, *nodes], "form", inputs, outputs, tensors))


def features_of(model: onnx.ModelProto, output: str) -> str:
    return features_name(model.graph.node, {tensor.name for tensor in model.graph.initializer}, output)


_WEIGHTS = {"w": (4, 3), "v": (4, 4), "b": (3,), "axis": (1,)}


def test_matmul_and_add_are_a_classifier() -> None:
    """Exporters write a linear layer as Gemm, or as MatMul with or without Add."""
    product = helper.make_node("MatMul", ["pooled", "w"], ["product"])
    total = helper.make_node("Add", ["product", "b"], ["logits"])

    assert features_of(graph(product, total), "logits") == "pooled"
    assert features_of(graph(helper.make_node("MatMul", ["pooled", "w"], ["logits"])), "logits") == "pooled"


@pytest.mark.parametrize(
    ("operator", "others"),
    [
        *(pytest.param(name, [], id=name) for name in ("Erf", "Gelu", "Relu", "Tanh", "Sigmoid")),
        *(pytest.param(name, ["b"], id=name) for name in ("Add", "Sub", "Mul", "Div")),
        pytest.param("LayerNormalization", ["b", "b"], id="LayerNormalization"),
    ],
)
def test_the_head_is_cut_off_where_there_is_one(operator: str, others: list[str]) -> None:
    dense = helper.make_node("MatMul", ["pooled", "v"], ["dense"])
    active = helper.make_node(operator, ["dense", *others], ["active"])
    classify = helper.make_node("Gemm", ["active", "w", "b"], ["logits"])

    assert features_of(graph(dense, active, classify), "logits") == "pooled"


def test_weights_that_are_computed_are_unknown() -> None:
    """A product of two moving tensors is attention, not a classifier; an output that is not there is none either."""
    square = helper.make_node("MatMul", ["pooled", "pooled"], ["logits"])

    for output in ("logits", "absent"):
        with pytest.raises(GraphError, match=f"{output} is not made by a linear layer"):
            features_of(graph(square), output)


def test_two_ways_into_the_classifier_are_unknown() -> None:
    """A head beside a bypass cannot be cut off at one place."""
    dense = helper.make_node("MatMul", ["pooled", "v"], ["dense"])
    both = helper.make_node("Add", ["dense", "pooled"], ["both"])
    classify = helper.make_node("Gemm", ["both", "w", "b"], ["logits"])

    with pytest.raises(GraphError, match="1 linear layers and 1 other sources"):
        features_of(graph(dense, both, classify), "logits")

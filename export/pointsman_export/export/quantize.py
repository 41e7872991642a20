"""Quantize an exported float graph to int8.

Each linear layer of the encoder becomes MatMulInteger with two scales: one per token for the activation, computed at
run time, and one per output column for the weight, fixed here. Both are symmetric. The token embeddings become int8
rows with one scale each. Attention, norms, head and classifier stay float: they are small, and the last two decide
between labels. The layers that the caller names stay float, too.

onnxruntime's quantize_dynamic is not used, because it takes one activation scale for a whole batch: a prompt's logits
would depend on the other prompts of its batch. A scale per token makes them independent, and the error several times
smaller.

The types suit x86 kernels with VNNI: unsigned activations (zero point 128) with signed weights. Unsigned weights are
2.4 times slower there, signed activations 13 times.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from pointsman_export.common.errors import GraphError

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.int8]

MAX_INT8 = 127
_OF_LINEAR, _OF_EMBEDDING = 1, 0
"""The input that is the weight."""
MIN_SCALE = 1e-10
"""Lower limit of a scale, so that an all-zero row or column does not have a scale of zero."""


def quantize(source: Path, target: Path, names: Collection[str], float_layers: Collection[str] = ()) -> None:
    """Write the int8 form of the graph in `source` to `target`; raises GraphError on an unknown form.

    The weights that become int8 are those of `names`, named as in the checkpoint without the encoder's prefix, except
    `float_layers`.
    """
    model = onnx.load(source)
    _GraphPass(model, names, float_layers).run()
    onnx.save(model, target)


class _GraphPass:
    """One walk over a graph, which copies each node or replaces it by nodes that write the same output."""

    def __init__(self, model: onnx.ModelProto, names: Collection[str], float_layers: Collection[str]) -> None:
        self._graph = model.graph
        self._names = names
        self._float_layers = float_layers
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._replaced: set[str] = set()
        self._activations: dict[str, tuple[str, str]] = {}
        self._shapes: dict[int, str] = {}

    def run(self) -> None:
        check_layers(self._graph.node, self._names, self._weights)
        self._prepare()
        for node in self._graph.node:
            if layer_of(node) in self._float_layers:
                self._nodes.append(node)
            elif self._is_linear(node):
                self._linear(node)
            elif self._is_embedding(node):
                self._embedding(node)
            else:
                self._nodes.append(node)
        self._replace()

    def _is_linear(self, node: NodeProto) -> bool:
        return weight_input_index(node, self._names, self._weights) == _OF_LINEAR

    def _is_embedding(self, node: NodeProto) -> bool:
        return weight_input_index(node, self._names, self._weights) == _OF_EMBEDDING

    def _prepare(self) -> None:
        self._constant("int8/zero_point", np.array(MAX_INT8 + 1, np.uint8))
        self._constant("int8/step", np.array(1 / MAX_INT8, np.float32))
        self._constant("int8/smallest", np.array(MIN_SCALE, np.float32))
        self._constant("int8/last_axis", np.array([-1], np.int64))
        self._node("Shape", ["input_ids"], "int8/tokens")

    def _linear(self, node: NodeProto) -> None:
        """Replace [batch, sequence, k] x [k, n] by an int8 product [tokens, k] x [k, n]."""
        weight = self._weight(node.input[1])
        quantized, scale = symmetric(weight, axis=0)
        activation, token_scale = self._activation(node.input[0], weight.shape[0])
        name = node.name
        matrix = self._constant(f"{name}/weight", quantized)
        column_scale = self._constant(f"{name}/scale", scale[0])
        product = self._node("MatMulInteger", [activation, matrix, "int8/zero_point"], f"{name}/product")
        product = self._node("Cast", [product], f"{name}/float", to=TensorProto.FLOAT)
        product = self._node("Mul", [product, column_scale], f"{name}/columns")
        product = self._node("Mul", [product, token_scale], f"{name}/scaled")
        self._node("Reshape", [product, self._shape(weight.shape[1])], node.output[0])

    def _activation(self, name: str, width: int) -> tuple[str, str]:
        """Return the uint8 rows [tokens, width] of a tensor and their scales [tokens, 1], made once for all readers."""
        if name not in self._activations:
            rows_shape = self._constant(f"int8/rows_of_{width}", np.array([-1, width], np.int64))
            rows = self._node("Reshape", [name, rows_shape], f"{name}/rows")
            size = self._node("Abs", [rows], f"{name}/size")
            greatest = self._node("ReduceMax", [size, "int8/last_axis"], f"{name}/greatest", keepdims=0)
            scale = self._node("Mul", [greatest, "int8/step"], f"{name}/step")
            scale = self._node("Max", [scale, "int8/smallest"], f"{name}/scale")
            count = self._node("Shape", [scale], f"{name}/count")
            zero_points = self._node("Expand", ["int8/zero_point", count], f"{name}/zero_points")
            quantized = self._node("QuantizeLinear", [rows, scale, zero_points], f"{name}/int8", axis=0)
            column = self._node("Unsqueeze", [scale, "int8/last_axis"], f"{name}/scales")
            self._activations[name] = (quantized, column)
        return self._activations[name]

    def _embedding(self, node: NodeProto) -> None:
        """Replace the lookup of [vocabulary, width] rows by a lookup of int8 rows that are scaled afterwards."""
        quantized, scale = symmetric(self._weight(node.input[0]), axis=1)
        table = self._constant("embeddings/rows", quantized)
        scales = self._constant("embeddings/scale", scale)
        rows = self._node("Gather", [table, node.input[1]], "embeddings/looked_up")
        rows = self._node("Cast", [rows], "embeddings/float", to=TensorProto.FLOAT)
        steps = self._node("Gather", [scales, node.input[1]], "embeddings/scales")
        self._node("Mul", [rows, steps], node.output[0])

    def _shape(self, width: int) -> str:
        """Return the shape [batch, sequence, width], computed once per width."""
        if width not in self._shapes:
            last = self._constant(f"int8/width_{width}", np.array([width], np.int64))
            self._shapes[width] = self._node("Concat", ["int8/tokens", last], f"int8/shape_{width}", axis=0)
        return self._shapes[width]

    def _weight(self, name: str) -> Floats:
        self._replaced.add(name)
        return numpy_helper.to_array(self._weights[name])  # type: ignore[no-any-return]

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        self._constants.setdefault(name, numpy_helper.from_array(value, name))
        return name

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: int) -> str:
        self._nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def _replace(self) -> None:
        unchanged = [tensor for tensor in self._graph.initializer if tensor.name not in self._replaced]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(self._nodes)
        self._graph.initializer.extend([*unchanged, *self._constants.values()])


def weight_input_index(node: NodeProto, names: Collection[str], weights: Collection[str]) -> int | None:
    """Return which input of a linear layer or embedding among `names` is its weight; None for any other node."""
    input_index = {"MatMul": _OF_LINEAR, "Gather": _OF_EMBEDDING}.get(node.op_type)
    if input_index is None or layer_of(node) not in names or node.input[input_index] not in weights:
        return None
    return input_index


def check_layers(nodes: Iterable[NodeProto], names: Collection[str], weights: Collection[str]) -> None:
    """Raise GraphError unless each of the checkpoint's layers, `names`, is in a graph once."""
    found = [layer_of(node) for node in nodes if weight_input_index(node, names, weights) is not None]
    if sorted(found) != sorted(names):
        raise GraphError(
            f"the graph has {len(found)} linear layers and token embeddings, expected the {len(names)} of the "
            "checkpoint; use the versions that the extra pointsman[export] names"
        )


def layer_of(node: NodeProto) -> str:
    """Return the layer of an operator: `layers.0.mlp.Wi` for `/model/layers.0/mlp/Wi/MatMul`."""
    return ".".join(node.name.split("/")[2:-1])


def symmetric(weight: Floats, axis: int) -> tuple[Bytes, Floats]:
    """Return int8 values and their float steps along `axis`, so that value * step is the weight.

    The steps keep `axis` with a length of 1.
    """
    scale = np.maximum(np.abs(weight).max(axis, keepdims=True) / MAX_INT8, MIN_SCALE)
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)

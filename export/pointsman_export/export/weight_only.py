"""Store the weights of an exported float graph as int8, for a runtime that computes with them directly.

Each weight becomes int8 values and a DequantizeLinear, with one scale for each output of a linear layer and for each
row of the token embeddings. OpenVINO does not execute that operator: its kernels read the int8 weights, and round the
activations to int8 at run time, in groups of a token's values.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from pointsman_export.export.quantize import check_layers, layer_of, symmetric, weight_input_index


def compress(source: Path, target: Path, names: Collection[str], float_layers: Collection[str] = ()) -> None:
    """Write the graph in `source` with int8 weights to `target`; raises GraphError on an unknown form.

    The weights that become int8 are those of `names`, named as in the checkpoint without the encoder's prefix, except
    `float_layers`.
    """
    model = onnx.load(source)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    check_layers(graph.node, names, weights)
    nodes: list[NodeProto] = []
    for node in graph.node:
        input_index = weight_input_index(node, names, weights)
        if input_index is not None and layer_of(node) not in float_layers:
            name = node.input[input_index]
            # Columns are a linear layer's outputs, and rows are tokens.
            values, scale = symmetric(numpy_helper.to_array(weights.pop(name)), axis=1 - input_index)
            parts = {"int8": values, "scale": scale.reshape(-1), "zero": np.zeros(scale.size, np.int8)}
            for part, value in parts.items():
                weights[f"{name}/{part}"] = numpy_helper.from_array(value, f"{name}/{part}")
            inputs = [f"{name}/{part}" for part in parts]
            nodes.append(helper.make_node("DequantizeLinear", inputs, [name], name=name, axis=input_index))
        nodes.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(weights.values())
    onnx.save(model, target)

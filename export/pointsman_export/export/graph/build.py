"""Build the whole graph of a classifier or an encoder, for a CPU or for a GPU."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

import numpy as np
from onnx import ModelProto, TensorProto, helper

from pointsman_export.export.graph.architecture import Architecture
from pointsman_export.export.graph.attention import PromptAttention
from pointsman_export.export.graph.linear import Activations, LinearLayers
from pointsman_export.export.graph.masked import MaskedAttention
from pointsman_export.export.graph.parts import GraphParts
from pointsman_export.export.graph.rounding import Rounding
from pointsman_export.export.graph.weights import Weights
from pointsman_export.export.graph.writer import GraphWriter
from pointsman_export.export.interface import FEATURES, OUTPUT, PACKED

_GPU_OPSET = 18
"""Opset of a GPU's graph, for which every ONNX Runtime with CUDA graphs has the kernels.

It is lower than the default, which the CPU's Attention operator needs.
"""


def build_graph(
    form: Architecture,
    weights: Weights,
    activations: Activations | None,
    float_layers: Collection[str] = (),
    roundings: Mapping[str, Rounding] = MappingProxyType({}),
) -> ModelProto:
    """Build the graph for a CPU, from the packed feed to its output [prompts, columns].

    With `activations` None, it is float32 throughout.
    """
    writer = GraphWriter()
    linears = LinearLayers(writer, weights, activations, float_layers, roundings)
    return _model(form, GraphParts(writer, weights, linears, PromptAttention(writer, form.width, form.heads)))


def build_half_graph(form: Architecture, weights: Weights) -> ModelProto:
    """Build the graph for a GPU in float16; the head and the classifier, which decide between labels, stay float32."""
    writer = GraphWriter(_GPU_OPSET)
    with np.errstate(over="ignore"):  # the verification rejects weights beyond float16
        halved: Weights = {
            name: tensor if name.startswith(form.head) else tensor.astype(np.float16)
            for name, tensor in weights.items()
        }
    return _model(form, GraphParts(writer, halved, LinearLayers(writer, halved), MaskedAttention(writer, form.heads)))


def _model(form: Architecture, parts: GraphParts) -> ModelProto:
    result = form.output(parts)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, axes) for name, axes in PACKED.inputs.items()]
    if form.pooling is None:
        name, columns = OUTPUT, len(parts.weights[f"{form.classifier}.weight"])
    else:
        name, columns = FEATURES, form.pooling.width(form.width)
    output = helper.make_tensor_value_info(name, TensorProto.FLOAT, [PACKED.rows, columns])
    return parts.writer.model(inputs, output, result)

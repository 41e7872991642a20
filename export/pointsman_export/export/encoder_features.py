"""Let a graph give the features that heads read, beside its logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from pointsman.classify.manifest import EncoderFeatures
from pointsman_export.export.interface import FEATURES
from pointsman_export.export.layers import with_layers
from pointsman_export.export.pooled import features_name
from pointsman_export.export.pooling import TWO_LAYERS
from pointsman_export.export.runtime import OnnxGraph

POOLED = "what the classifier reads"
_SAMPLE = np.arange(2, 6)
"""Tokens that every vocabulary has."""


def add_features(path: Path, logits: str, *, for_gpu: bool = False) -> EncoderFeatures:
    """Add the output to the graph in a file; raises GraphError if its form is unknown."""
    model = onnx.load(path)
    read = features_name(model.graph.node, {tensor.name for tensor in model.graph.initializer}, logits)
    changed, name = with_layers(model, read)
    # A graph for a GPU computes in 16 bits.
    changed.graph.node.append(
        helper.make_node("Cast", [name], [FEATURES], name=f"/{FEATURES}/Cast", to=TensorProto.FLOAT)
    )
    changed.graph.output.append(helper.make_tensor_value_info(FEATURES, TensorProto.FLOAT, ["prompts", None]))
    path.write_bytes(changed.SerializeToString())
    width = OnnxGraph(path, 1, for_gpu=for_gpu, output=FEATURES).logits([_SAMPLE]).shape[1]
    return EncoderFeatures(output=FEATURES, width=width, recipe=POOLED if name == read else TWO_LAYERS)

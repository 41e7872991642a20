"""Let a graph give the features that heads read, beside its logits, and compute those of ordinary requests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from pointsman.classify.artifact import Artifact
from pointsman.classify.category_head import MAX_TEXT_TOKENS
from pointsman.classify.engine import Engine
from pointsman.classify.manifest import EncoderFeatures
from pointsman.classify.providers import default_providers
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.evaluation.metrics import Floats
from pointsman_export.common import session
from pointsman_export.common.features import features_name
from pointsman_export.common.layers import with_layers

OUTPUT = "features"
TWO_LAYERS = "means of the tokens of the middle and the last layer"
POOLED = "what the classifier reads"
_SAMPLE = np.arange(2, 6)
"""Tokens that every vocabulary has."""


def add_features(path: Path, logits: str, *, for_gpu: bool = False) -> EncoderFeatures:
    """Add the output to the graph in a file; raises GraphError if its form is unknown."""
    model = onnx.load(path)
    read = features_name(model.graph.node, {tensor.name for tensor in model.graph.initializer}, logits)
    changed, name = with_layers(model, read)
    # A graph for a GPU computes in 16 bits.
    changed.graph.node.append(helper.make_node("Cast", [name], [OUTPUT], name=f"/{OUTPUT}/Cast", to=TensorProto.FLOAT))
    changed.graph.output.append(helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["prompts", None]))
    content = changed.SerializeToString()
    opened = session.open_session(content)
    (found,) = session.run(opened, [OUTPUT], [_SAMPLE], lambda _: None, for_gpu=for_gpu)
    path.write_bytes(content)
    return EncoderFeatures(output=OUTPUT, width=found.shape[1], recipe=POOLED if name == read else TWO_LAYERS)


def features(artifact: Artifact, texts: Sequence[str]) -> Floats:
    """Return the features [texts, width] that an artifact gives, on the CPU."""
    engine = Engine(artifact, default_providers(artifact.manifest.target, use_cpu=True))
    window = TextWindow.even(MAX_TEXT_TOKENS)
    encoded = Tokenizer(artifact.tokenizer_path).encode([window.cut_text(text) for text in texts], window)
    return np.concatenate([found for one in encoded if (found := engine.read([one.ids]).features) is not None])

"""Give a head more of the encoder to read: the layers least changed by the training for the base's labels.

A graph that pools by the mean of the last layer's tokens gets the mean of the middle layer in addition. Measured with
the built-in encoder on the 18 scenarios of HWU64, 20 rows for each: accuracy 0.885 instead of 0.864.
"""

from __future__ import annotations

from onnx import ModelProto, NodeProto, helper

_NORM = "LayerNormalization"
_FEATURES = "fit/features"
_SAME_VALUES = {"Squeeze", "Cast"}
"""Operators between the last norm and the mean: none of them changes a token's values."""


def with_layers(model: ModelProto, features: str) -> tuple[ModelProto, str]:
    """Return the graph with the means of two layers side by side, and the name of that tensor [texts, width].

    `features` is the input of the base's classifier. Unless it is the mean of the last norm's tokens, the graph and the
    name are returned unchanged.
    """
    norms = [node.output[0] for node in model.graph.node if node.op_type == _NORM]
    steps = _steps_to_mean(model, norms[-1], features) if norms else []
    if not steps:
        return model, features
    changed = ModelProto()
    changed.CopyFrom(model)
    middle = _pooled(changed, norms[len(norms) // 2], steps)
    changed.graph.node.append(helper.make_node("Concat", [middle, features], [_FEATURES], axis=-1))
    return changed, _FEATURES


def _steps_to_mean(model: ModelProto, norm: str, mean: str) -> list[tuple[NodeProto, int]]:
    """Return the nodes from `norm` to `mean`, each with the index of the input that the one before makes.

    Empty for graphs of another form.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    steps: list[tuple[NodeProto, int]] = []
    name = mean
    for kind, input_index in (("Div", 0), ("MatMul", 1)):
        node = makers.get(name)
        if node is None or node.op_type != kind:
            return []
        steps.insert(0, (node, input_index))
        name = node.input[input_index]
    while (node := makers.get(name)) is not None and node.op_type in _SAME_VALUES:
        steps.insert(0, (node, 0))
        name = node.input[0]
    return steps if name == norm else []


def _pooled(model: ModelProto, name: str, steps: list[tuple[NodeProto, int]]) -> str:
    """Add the same steps for another tensor; return the name of their result."""
    for number, (node, input_index) in enumerate(steps):
        copy = model.graph.node.add()
        copy.CopyFrom(node)
        copy.input[input_index] = name
        name = copy.name = copy.output[0] = f"{_FEATURES}/{number}"
    return name

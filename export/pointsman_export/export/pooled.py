"""Find the tensor of a graph that a head reads: the pooled output of the encoder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from pointsman_export.common.errors import GraphError

FORM = "the features are found in graphs that `pointsman export` writes"
_POINTWISE = {"Add", "Sub", "Mul", "Div", "Erf", "Gelu", "Relu", "Tanh", "Sigmoid", "LayerNormalization"}
"""Operators between a head's dense layer and the classifier: none of them mixes rows or multiplies with a matrix."""


class Node(Protocol):
    """An operator of a graph."""

    @property
    def op_type(self) -> str: ...
    @property
    def input(self) -> Sequence[str]: ...
    @property
    def output(self) -> Sequence[str]: ...


def features_name(nodes: Sequence[Node], weights: Iterable[str], output: str) -> str:
    """Return the name of the tensor [batch, width] that a new head reads.

    Raises GraphError if the graph's form is unknown.
    """
    makers = {name: node for node in nodes for name in node.output}
    constants = _constants(nodes, weights)
    read = _linear_input(makers.get(output), makers, constants)
    if read is None:
        raise GraphError(f"{output} is not made by a linear layer with fixed weights; {FORM}")
    linears, others = _sources(read, makers, constants)
    if not linears and others:
        return read
    if len(linears) == 1 and not others:
        return linears.pop()
    raise GraphError(
        f"before the classifier come {len(linears)} linear layers and {len(others)} other sources, expected one dense "
        f"layer or the pooling; {FORM}"
    )


def _constants(nodes: Sequence[Node], weights: Iterable[str]) -> set[str]:
    """Return the names of weights, and of tensors computed only from weights.

    The exporter writes equal weights once and copies them by Identity.
    """
    constants = set(weights)
    for node in nodes:
        if constants.issuperset(node.input):
            constants.update(node.output)
    return constants


def _linear_input(node: Node | None, makers: dict[str, Node], constants: set[str]) -> str | None:
    """Return the input of a linear layer with fixed weights (Gemm, MatMul, or MatMul and Add); None for other nodes."""
    if node is None:
        return None
    if node.op_type == "Add":
        moving = [name for name in node.input if name not in constants]
        below = makers.get(moving[0]) if len(moving) == 1 else None
        return _linear_input(below, makers, constants) if below is not None and below.op_type == "MatMul" else None
    fixed = node.op_type in ("Gemm", "MatMul") and all(name in constants for name in node.input[1:])
    return node.input[0] if fixed else None


def _sources(name: str, makers: dict[str, Node], constants: set[str]) -> tuple[set[str], set[str]]:
    """Trace `name` back through pointwise operators to the inputs of linear layers, and to all other tensors."""
    linears: set[str] = set()
    others: set[str] = set()
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        name = waiting.pop()
        if name in seen or name in constants:
            continue
        seen.add(name)
        node = makers.get(name)
        read = _linear_input(node, makers, constants)
        if read is not None:
            linears.add(read)
        elif node is not None and node.op_type in _POINTWISE:
            waiting.extend(node.input)
        else:
            others.add(name)
    return linears, others

"""Add linear layers and the token embeddings to a graph, in float or int8.

int8 means signed weights with a scale per column and unsigned activations, as in `quantize`. A scale per token is not
multiplied in at once, since the operator that reads the product can often do that on far fewer numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np

from pointsman_export.export.graph.rounding import SYMMETRIC, Rounding
from pointsman_export.export.graph.weights import Floats, Weights
from pointsman_export.export.graph.writer import CONTRIB, GraphWriter
from pointsman_export.export.quantize import MAX_INT8, symmetric

Activations = Literal["token", "tensor"]


@dataclass(frozen=True, slots=True)
class ScaledTensor:
    """A tensor [1, rows, width] that still has to be multiplied by `scale` [1, rows, 1], if there is one.

    Then `offset` [width] has to be added, if there is one.
    """

    name: str
    scale: str | None = None
    offset: Floats | None = None


@dataclass(frozen=True, slots=True)
class _LinearInput:
    """The input of a linear layer: float, or int8 with the arguments of `MatMulIntegerToFloat`."""

    name: str
    scale: str | None = None
    zero_point: str | None = None
    pending: str | None = None


class LinearLayers:
    """A writer of linear layers without their biases. `float_layers` are named like the weights.

    With `activations` None, all layers are float. `roundings` are those that are not SYMMETRIC, by layer; layers that
    read one activation must have the same.
    """

    def __init__(
        self,
        writer: GraphWriter,
        weights: Weights,
        activations: Activations | None = None,
        float_layers: Collection[str] = (),
        roundings: Mapping[str, Rounding] = MappingProxyType({}),
    ) -> None:
        self._writer = writer
        self._weights = weights
        self._activations = activations
        self._float_layers = float_layers
        self._roundings = roundings
        self._zero_points: dict[tuple[str, int], str] = {}
        self._quantized: dict[str, _LinearInput] = {}

    def embeddings(self, name: str) -> str:
        """Return the token embeddings [1, tokens, width] of the feed."""
        op, table = self._writer.op, self._weights[f"{name}.weight"]
        if self._is_float(name):
            rows = op("Gather", self._writer.constant(f"{name}.weight", table), "input_ids")
        else:
            # Shared weights are stored one after the other, and the kernels read them at multiples of 64 bytes.
            unused = -len(table) % (64 // np.float32().nbytes)
            quantized, scale = symmetric(np.pad(table, ((0, unused), (0, 0))), axis=1)
            values = op("Gather", self._writer.constant(f"{name}.int8", quantized), "input_ids")
            steps = op("Gather", self._writer.constant(f"{name}.scale", scale[:, 0]), "input_ids")
            rows = op("DequantizeLinear", values, steps, axis=0)
        return op("Unsqueeze", rows, self._writer.integers(0))

    def product(self, activation: ScaledTensor, layer: str, rows: str, columns: slice = slice(None)) -> ScaledTensor:
        """Return some `columns` of the layer's output, by default all.

        `rows` is an input of the graph with as many items as the activation has rows. Several products of one
        activation are faster than one product that is split afterwards.
        """
        matrix = np.ascontiguousarray(self._weights[f"{layer}.weight"].T[:, columns])
        name = layer if columns.start is None else f"{layer}[{columns.start}]"
        prepared = self._prepared(activation, layer, rows)
        if prepared.zero_point is None:
            return ScaledTensor(
                self._writer.op("MatMul", prepared.name, self._writer.constant(f"{name}.weight", matrix))
            )
        return self._int8_product(prepared, name, matrix, self._roundings.get(layer, SYMMETRIC))

    def value(self, product: ScaledTensor) -> str:
        """Return the product multiplied by its scale, without its offset."""
        return product.name if product.scale is None else self._writer.op("Mul", product.name, product.scale)

    def _is_float(self, layer: str) -> bool:
        return self._activations is None or layer in self._float_layers

    def _prepared(self, activation: ScaledTensor, layer: str, rows: str) -> _LinearInput:
        if self._is_float(layer):
            return _LinearInput(self.value(activation))
        if activation.name not in self._quantized:
            rounding = self._roundings.get(layer, SYMMETRIC)
            smoothed = self._smoothed(activation, rounding.factor)
            self._quantized[activation.name] = (
                _LinearInput(*self._writer.ops("DynamicQuantizeLinear", 3, self.value(smoothed)))
                if self._activations == "tensor"
                else self._by_token(smoothed, rows, rounding.least)
            )
        return self._quantized[activation.name]

    def _smoothed(self, activation: ScaledTensor, factor: Floats | None) -> ScaledTensor:
        if factor is None:
            return activation
        inverse = self._writer.constant(f"{activation.name}/smooth", (1 / factor).astype(np.float32))
        return ScaledTensor(self._writer.op("Mul", activation.name, inverse), activation.scale)

    def _by_token(self, activation: ScaledTensor, rows: str, least: float | None) -> _LinearInput:
        op, number, last = self._writer.op, self._writer.number, self._writer.integers(-1)
        if least is None:
            zero, levels, values = MAX_INT8 + 1, MAX_INT8, activation.name
            size = op("Abs", values)
        else:
            zero, levels, values = 0, 2 * MAX_INT8 + 1, op("Sub", activation.name, number(least))
            size = values
        zero_point = self._writer.constant(f"zero_point/{zero}", np.array(zero, np.uint8))
        if (rows, zero) not in self._zero_points:
            self._zero_points[rows, zero] = op("Expand", zero_point, op("Shape", rows))
        greatest = op("ReduceMax", size, last, keepdims=1)
        # A row of zeros has scale 0, so its products become 0, whatever it is quantized to.
        scale = op("Mul", greatest, number(1 / levels))
        quantized = op("QuantizeLinear", values, op("Reshape", scale, last), self._zero_points[rows, zero], axis=1)
        pending = scale if activation.scale is None else op("Mul", scale, activation.scale)
        return _LinearInput(quantized, number(1.0), zero_point, pending)

    def _int8_product(self, rows: _LinearInput, name: str, matrix: Floats, rounding: Rounding) -> ScaledTensor:
        writer = self._writer
        if rounding.factor is not None:
            matrix = matrix * rounding.factor[:, None]
        quantized, scale = symmetric(matrix, axis=0)
        weight, columns = writer.constant(f"{name}.int8", quantized), writer.constant(f"{name}.scale", scale[0])
        product = writer.op(
            "MatMulIntegerToFloat", rows.name, weight, rows.scale or "", columns, rows.zero_point or "", domain=CONTRIB
        )
        moved = rounding.least is not None and self._activations == "token"
        offset = rounding.least * quantized.sum(axis=0, dtype=np.int64) * scale[0] if moved else None
        return ScaledTensor(product, rows.pending, offset)

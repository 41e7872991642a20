"""Read the form of an ONNX file and add to it, without the library `onnx`, which serving hosts do not have.

A file is a message of Protocol Buffers (https://protobuf.dev/programming-guides/encoding/). If two messages are written
one after the other, a reader takes the fields of both, and joins the entries of list fields. So operators, weights and
an output are added by appending bytes, and the existing bytes stay unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointsman_export.common.errors import GraphError

# Numbers of fields, in onnx.proto.
_GRAPH = 7
_NODE, _INITIALIZER, _OUTPUT = 1, 5, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OP = 1, 2, 3, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_DATA = 1, 2, 8, 9
_FLOAT = 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator, with the names of its inputs and outputs."""

    op_type: str
    input: list[str]
    output: list[str]


@dataclass(frozen=True, slots=True)
class GraphStructure:
    """The form of a graph: its operators, and the names of its weights and outputs."""

    nodes: list[Operator]
    weights: list[str]
    outputs: list[str]


def read_graph(model: bytes) -> GraphStructure:
    """Return the form of the graph in a file's content; raises GraphError."""
    found = GraphStructure([], [], [])
    try:
        for graph in _parts(memoryview(model), _GRAPH):
            for number, value in _fields(graph):
                if not isinstance(value, memoryview):
                    continue
                if number == _NODE:
                    found.nodes.append(_operator(value))
                elif number == _INITIALIZER:
                    found.weights.append(_text(value, _TENSOR_NAME))
                elif number == _OUTPUT:
                    found.outputs.append(_text(value, 1))
    except (IndexError, UnicodeDecodeError) as error:
        raise GraphError(f"the model is no ONNX file ({error})") from error
    return found


def with_correction(
    model: bytes, features: str, logits: str, weights: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]
) -> tuple[bytes, str]:
    """Return the file with a further output, and its name: `logits` + `features` @ `weights` + `bias`."""
    name = f"corrected/{len(read_graph(model).outputs)}"
    product, moved, output = f"{name}/product", f"{name}/moved", f"{name}/logits"
    graph = b"".join(
        [
            _field(_NODE, _node("MatMul", [features, f"{name}/weights"], product)),
            _field(_NODE, _node("Add", [product, f"{name}/bias"], moved)),
            _field(_NODE, _node("Add", [logits, moved], output)),
            _field(_INITIALIZER, _tensor(f"{name}/weights", weights)),
            _field(_INITIALIZER, _tensor(f"{name}/bias", bias)),
            _field(_OUTPUT, _value(output, bias.shape[0])),
        ]
    )
    return model + _field(_GRAPH, graph), output


def with_output(model: bytes, name: str) -> bytes:
    """Return the file with a tensor of the graph as a further output."""
    return model + _field(_GRAPH, _field(_OUTPUT, _field(1, name.encode())))


# --- reading --------------------------------------------------------------------------------------------------------


def _parts(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield the fields of a message; raises IndexError if it ends inside one."""
    offset = 0
    while offset < len(message):
        key, offset = _varint(message, offset)
        kind = key & 7
        if kind == _VARINT:
            value, offset = _varint(message, offset)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, offset = _varint(message, offset)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise IndexError(f"a field of kind {kind}")
        if offset + size > len(message):
            raise IndexError("it ends too early")
        yield key >> 3, message[offset : offset + size]
        offset += size


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[offset]
        value |= (byte & 0x7F) << shift
        offset, shift = offset + 1, shift + 7
        if byte < 0x80:
            return value, offset
        if shift > 63:
            raise IndexError("a number is too long")


def _text(message: memoryview, wanted: int) -> str:
    return next((bytes(value).decode() for value in _parts(message, wanted)), "")


def _operator(message: memoryview) -> Operator:
    names = [[bytes(value).decode() for value in _parts(message, one)] for one in (_NODE_INPUT, _NODE_OUTPUT)]
    return Operator(_text(message, _NODE_OP), *names)


# --- writing --------------------------------------------------------------------------------------------------------


def _field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return _number(number << 3 | _VARINT) + _number(value)
    return _number(number << 3 | _BYTES) + _number(len(value)) + value


def _number(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _node(op_type: str, inputs: list[str], output: str) -> bytes:
    read = b"".join(_field(_NODE_INPUT, name.encode()) for name in inputs)
    return (
        read
        + _field(_NODE_OUTPUT, output.encode())
        + _field(_NODE_NAME, output.encode())
        + _field(_NODE_OP, op_type.encode())
    )


def _tensor(name: str, values: npt.NDArray[np.float32]) -> bytes:
    dims = b"".join(_field(_TENSOR_DIMS, size) for size in values.shape)
    data = values.astype("<f4").tobytes()
    return dims + _field(_TENSOR_TYPE, _FLOAT) + _field(_TENSOR_NAME, name.encode()) + _field(_TENSOR_DATA, data)


def _value(name: str, width: int) -> bytes:
    """Return the description of an output [texts, width]."""
    shape = _field(1, _field(2, b"texts")) + _field(1, _field(1, width))
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, _FLOAT) + _field(2, shape)))

"""Write the nodes and constants of one ONNX graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

CONTRIB = "com.microsoft"


class GraphWriter:
    """A collector of nodes and constants; each method returns the name of the tensor that it adds.

    Constants of one name are stored once.
    """

    def __init__(self, opset: int = 23) -> None:
        self._opsets = [helper.make_opsetid("", opset), helper.make_opsetid(CONTRIB, 1)]
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._count = 0

    def constant(self, name: str, value: npt.NDArray[np.generic] | np.generic) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(value.shape), name)
        return name

    def integers(self, *values: int) -> str:
        """Add an int64 vector."""
        return self.constant(f"integers/{','.join(map(str, values))}", np.array(values, np.int64))

    def integer(self, value: int) -> str:
        """Add an int64 scalar."""
        return self.constant(f"integer/{value}", np.array(value, np.int64))

    def number(self, value: float) -> str:
        """Add a float32 scalar."""
        return self.constant(f"number/{value!r}", np.array(value, np.float32))

    def op(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output."""
        self._count += 1
        name = f"{operator}_{self._count}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def ops(self, operator: str, outputs: int, *inputs: str) -> list[str]:
        """Add a node with several outputs."""
        self._count += 1
        names = [f"{operator}_{self._count}/{number}" for number in range(outputs)]
        self._nodes.append(helper.make_node(operator, list(inputs), names, name=f"{operator}_{self._count}"))
        return names

    def choose(self, condition: str, then: Callable[[], str], otherwise: Callable[[], str]) -> str:
        """Add a branch that computes either `then` or `otherwise`.

        Constants are stored outside the branches, so both share them.
        """
        return self.op("If", condition, then_branch=self._branch(then), else_branch=self._branch(otherwise))

    def repeat(self, count: str, initial: str, step: Callable[[str, str], str]) -> str:
        """Add a loop of `count` steps and return its last value, or `initial` if there are no steps.

        `step` computes a value from the number of the step and the value before.
        """
        self._count += 1
        number, going, before = (f"Loop_{self._count}/{name}" for name in ("number", "going", "before"))
        inputs = [
            helper.make_tensor_value_info(number, TensorProto.INT64, []),
            helper.make_tensor_value_info(going, TensorProto.BOOL, []),
            helper.make_empty_tensor_value_info(before),
        ]
        body = self._branch(lambda: step(number, before), inputs, going)
        return self.op("Loop", count, "", initial, body=body)

    def model(self, inputs: list[ValueInfoProto], output: ValueInfoProto, result: str) -> ModelProto:
        """Return the graph from `inputs` to `output`, which takes its value from the tensor `result`."""
        self._nodes[-1].output[0] = output.name
        graph = helper.make_graph(self._nodes, "pointsman", inputs, [output], list(self._constants.values()))
        ir_version = helper.find_min_ir_version_for(self._opsets, ignore_unknown=True)
        return helper.make_model(graph, opset_imports=self._opsets, ir_version=ir_version)

    def _branch(
        self, compute: Callable[[], str], inputs: Sequence[ValueInfoProto] = (), going: str | None = None
    ) -> Any:
        """Return a subgraph with the nodes that `compute` adds; in a loop, its first output means to continue."""
        outer, self._nodes = self._nodes, []
        results = [compute()] if going is None else [self.op("Identity", going), compute()]
        outputs = [helper.make_empty_tensor_value_info(result) for result in results]
        graph = helper.make_graph(self._nodes, results[-1], list(inputs), outputs)
        self._nodes = outer
        return graph

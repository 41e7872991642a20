"""Write the graphs of a checkpoint, either built from its weights or exported by optimum."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from shutil import copyfile
from types import MappingProxyType
from typing import Any, Protocol

import onnx

from pointsman.classify.tokenizer import Ids
from pointsman_export.common.errors import UnknownFormError
from pointsman_export.export.checkpoint import Checkpoint
from pointsman_export.export.graph.build import build_graph, build_half_graph
from pointsman_export.export.graph.linear import Activations
from pointsman_export.export.graph.rounding import Rounding
from pointsman_export.export.interface import PACKED, PADDED, Interface
from pointsman_export.export.quantize import quantize
from pointsman_export.export.runtime import OnnxGraph, OpenVinoGraph, RunnableGraph
from pointsman_export.export.torch_model import export_float, input_ranges, weights_of, with_weights
from pointsman_export.export.weight_only import compress


class Recipe(Protocol):
    """A way to write the graphs of one checkpoint; the float graph must be written first."""

    @property
    def interface(self) -> Interface: ...
    @property
    def level(self) -> str: ...
    @property
    def activations(self) -> Activations: ...
    @property
    def layers(self) -> list[str]:
        """Return the names of the weights that can be int8."""

    @property
    def roundings(self) -> Mapping[str, Rounding]:
        """Return the roundings of the layers' inputs, for those that are not SYMMETRIC."""

    @property
    def int8_precision(self) -> str:
        """Return the manifest's `precision` of the int8 graph."""

    @property
    def gpu_precision(self) -> str: ...
    def write_float(self, path: Path) -> None: ...
    def write_int8(self, path: Path, float_layers: Collection[str] = ()) -> None: ...
    def write_gpu(self, path: Path) -> None: ...
    def open_int8(self, path: Path, threads: int = 0) -> RunnableGraph:
        """Return the int8 graph, ready to run on this many threads; with 0 the library chooses."""

    def to_round(self, model: Any) -> Any:
        """Return the torch model with the weights that int8 rounds, and leave `model` unchanged."""


class FastRecipe:
    """A recipe for the packed graphs of `export.graph`; raises UnknownFormError."""

    interface = PACKED
    level = "fast"
    int8_precision = "int8"
    gpu_precision = "fp16"

    def __init__(
        self, checkpoint: Checkpoint, model: Any, activations: Activations, prompts: Sequence[Ids] = ()
    ) -> None:
        """Read the weights of the torch model; on `prompts` it shows the ranges of its activations."""
        self._form = checkpoint.architecture
        self._form.check()
        self.activations = activations
        self.layers = self._form.layers
        self._weights = weights_of(model)
        self._form.fold(self._weights)
        ranges = input_ranges(model, self._form.smoothed, prompts)
        self.roundings = self._form.roundings(self._weights, ranges)

    def write_float(self, path: Path) -> None:
        onnx.save(build_graph(self._form, self._weights, None), path)

    def write_int8(self, path: Path, float_layers: Collection[str] = ()) -> None:
        onnx.save(build_graph(self._form, self._weights, self.activations, float_layers, self.roundings), path)

    def write_gpu(self, path: Path) -> None:
        onnx.save(build_half_graph(self._form, self._weights), path)

    def open_int8(self, path: Path, threads: int = 0) -> RunnableGraph:
        return OnnxGraph(path, threads)

    def to_round(self, model: Any) -> Any:
        folded = deepcopy(model)
        with_weights(folded, self._weights)
        return folded


class PlainRecipe:
    """A recipe for optimum's export of the torch model, and an int8 form of it with activation scales per token.

    A GPU gets the float graph.
    """

    interface = PADDED
    level = "plain"
    int8_precision = "int8"
    gpu_precision = "fp32"
    activations: Activations = "token"
    roundings: Mapping[str, Rounding] = MappingProxyType({})

    def __init__(self, checkpoint: Checkpoint, model: Any) -> None:
        self.layers = checkpoint.architecture.layers
        self._model = model
        self._float = Path()

    def write_float(self, path: Path) -> None:
        self._float = path
        export_float(self._model, path)

    def write_int8(self, path: Path, float_layers: Collection[str] = ()) -> None:
        quantize(self._float, path, self.layers, float_layers)

    def write_gpu(self, path: Path) -> None:
        copyfile(self._float, path)

    def open_int8(self, path: Path, threads: int = 0) -> RunnableGraph:
        return OnnxGraph(path, threads)

    def to_round(self, model: Any) -> Any:
        return model


class OpenVinoRecipe(PlainRecipe):
    """A recipe for optimum's export of the torch model with int8 weights, for OpenVINO."""

    def __init__(self, checkpoint: Checkpoint, model: Any, arithmetic: str) -> None:
        """Take `arithmetic`, the type of everything that is not int8: f32, or bf16, which some CPUs compute faster."""
        super().__init__(checkpoint, model)
        self._output = checkpoint.output
        self.int8_precision = f"int8-{arithmetic}"

    def write_int8(self, path: Path, float_layers: Collection[str] = ()) -> None:
        compress(self._float, path, self.layers, float_layers)

    def open_int8(self, path: Path, threads: int = 0) -> RunnableGraph:
        return OpenVinoGraph(path, self.int8_precision, max(1, threads), self._output)


def choose_recipe(
    checkpoint: Checkpoint,
    model: Any,
    level: str,
    activations: Activations,
    prompts: Sequence[Ids],
    progress: Callable[[str], None],
) -> Recipe:
    """Return the fast recipe if `level` is fast and the checkpoint allows it, else the plain one.

    `prompts` are real text. Raises UnknownFormError if the checkpoint does not allow the fast graph and `activations`
    needs it.
    """
    if level == "fast":
        try:
            return FastRecipe(checkpoint, model, activations, prompts)
        except UnknownFormError as error:
            if activations != PlainRecipe.activations:
                raise UnknownFormError(
                    f"{error}, and --activations {activations} needs the fast graph; omit it"
                ) from error
            progress(f"no fast graph can be built for this checkpoint ({error}), going on as with --level plain")
    return PlainRecipe(checkpoint, model)

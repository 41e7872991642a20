"""Each check of the proof fails on the fault that it is there for, and says both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch

from pointsman_export.common.errors import (
    AgreementError,
    AxesError,
    BatchError,
    GraphError,
    NamesError,
    PaddingError,
    ShapeError,
    ValuesError,
)
from pointsman_export.export import verify
from pointsman_export.export.agreement import check_agreement
from pointsman_export.export.checkpoint import open_checkpoint
from pointsman_export.export.graph.modernbert import ModernBert
from pointsman_export.export.interface import PADDED
from pointsman_export.export.libraries import quiet
from pointsman_export.export.quantize import quantize
from pointsman_export.export.runtime import OnnxGraph
from pointsman_export.export.torch_model import export_float, load_model
from support.checkpoint import TINY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Any

    from pointsman.classify.tokenizer import Ids
    from pointsman_export.export.runtime import Logits

VOCABULARY = 8192


class FakeGraph(OnnxGraph):
    """Answers with the prompts' first token, moved by `per_width` for each token of the run's width.

    `silent`: it answers with what is no number.
    """

    def __init__(self, per_width: float = 0.0, flip: int = 0, *, silent: bool = False) -> None:
        self._per_width = per_width
        self._flip = flip
        self._silent = silent

    def logits(self, prompts: Sequence[Ids], width: int = 0) -> Logits:
        width = max(width, *(len(prompt) for prompt in prompts))
        rows = np.zeros((len(prompts), 3), np.float32)
        for row, prompt in zip(rows, prompts, strict=True):
            row[(prompt[0] + (prompt[0] < self._flip)) % 3] = 1 + self._per_width * width
        if self._silent:
            rows[0, 1] = np.nan
        return rows


@pytest.fixture(scope="module")
def model(tiny: Path) -> Any:
    with quiet():
        return load_model(open_checkpoint(str(tiny)))


@pytest.fixture(scope="module")
def float_path(model: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    with quiet():
        export_float(model, path)
    return path


@pytest.fixture
def changed(float_path: Path, tmp_path: Path) -> tuple[onnx.ModelProto, Path]:
    """The float graph to change, and where to save it."""
    return onnx.load(float_path), tmp_path / "changed.onnx"


def test_names(changed: tuple[onnx.ModelProto, Path]) -> None:
    """An input of another name."""
    model, path = changed
    model.graph.input[1].name = "mask"
    onnx.save(model, path)

    with pytest.raises(NamesError, match=r"\['input_ids', 'mask'\].*expected \['input_ids', 'attention_mask'\]"):
        verify.check_interface(path, PADDED, "logits", 14)


def test_axes(changed: tuple[onnx.ModelProto, Path]) -> None:
    """A graph that was frozen to one batch size."""
    model, path = changed
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, path)

    with pytest.raises(AxesError, match=r"input_ids.*\[None, 'sequence_length'\].*'batch_size'"):
        verify.check_interface(path, PADDED, "logits", 14)


def test_shape(float_path: Path) -> None:
    """Another number of logits than labels."""
    with pytest.raises(ShapeError, match=r"14 columns.*expected 15"):
        verify.check_interface(float_path, PADDED, "logits", 15)


def test_values(model: Any, changed: tuple[onnx.ModelProto, Path]) -> None:
    """A single logit that is off by a thousandth."""
    graph, path = changed
    bias = next(tensor for tensor in graph.graph.initializer if tensor.name == "classifier.bias")
    moved = onnx.numpy_helper.to_array(bias).copy()
    moved[5] += 1e-3
    bias.CopyFrom(onnx.numpy_helper.from_array(moved, bias.name))
    onnx.save(graph, path)

    with pytest.raises(ValuesError, match=r"float: logits differ by (.|\n)*torch: (.|\n)*graph: "):
        verify.check_values(model, OnnxGraph(path), "float", verify.random_prompts(VOCABULARY, 64, 0))


def test_batch(float_path: Path, tmp_path: Path) -> None:
    """onnxruntime's own dynamic quantization, with one activation scale for a whole batch."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    path = tmp_path / "dynamic.onnx"
    quantize_dynamic(float_path, path, weight_type=QuantType.QInt8, per_channel=True)

    with pytest.raises(BatchError, match=r"int8: the logits of a prompt move by (.|\n)*alone: (.|\n)*together: "):
        verify.check_batch(OnnxGraph(path), "int8", verify.prompts_of_one_length(VOCABULARY, 512))


def test_padding() -> None:
    """A graph that sees how far its prompts are padded."""
    with pytest.raises(
        PaddingError, match=r"float: .* padded by 40 tokens, allowed 1e-04(.|\n)*unpadded: (.|\n)*padded: "
    ):
        verify.check_padding(FakeGraph(per_width=0.01), "float", verify.random_prompts(VOCABULARY, 64, 0))


def test_what_is_no_number_is_within_no_tolerance() -> None:
    """A NaN is neither greater than a bound nor less."""
    graph, prompts = FakeGraph(silent=True), verify.random_prompts(VOCABULARY, 64, 0)

    with pytest.raises(BatchError, match="nan"):
        verify.check_batch(graph, "float", prompts)
    with pytest.raises(PaddingError, match="nan"):
        verify.check_padding(graph, "float", prompts)
    with pytest.raises(ValuesError, match="nan"):
        verify.check_values(Torch(), graph, "float", prompts)


class Torch:
    """A model of three labels that answers with zeros."""

    def __call__(self, input_ids: Any, **_: Any) -> Any:
        return (torch.zeros(len(input_ids), 3),)


def test_agreement() -> None:
    """Fewer agreeing labels than the gate asks for; what suffers most comes first. Exactly the gate is enough."""
    prompts = [np.array([token]) for token in [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]]
    graphs = FakeGraph(), FakeGraph(flip=1)

    with pytest.raises(AgreementError, match=r"7 of 10 texts \(70 %\).*gate is 71 %.*law: 3 of 3 became math"):
        check_agreement(*graphs, "int8", prompts, ["law", "math", "other"], 0.71)

    assert check_agreement(*graphs, "int8", prompts, ["law", "math", "other"], 0.7).agreeing == 7


def test_an_unknown_graph(float_path: Path, tmp_path: Path) -> None:
    """The quantizer refuses a graph in which it does not find each linear layer, rather than leave some float."""
    deeper = ModernBert(TINY | {"num_hidden_layers": 5})

    with pytest.raises(GraphError, match="17 linear layers and token embeddings, expected the 21 of the checkpoint"):
        quantize(float_path, tmp_path / "int8.onnx", deeper.layers)

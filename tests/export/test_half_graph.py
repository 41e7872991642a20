"""The graph for a GPU. Without one, ONNX Runtime computes it on the CPU: weights in float16, all else in float32."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from safetensors.torch import load_file, save_file

from pointsman.classify import artifact
from pointsman.classify.engine import Engine
from pointsman.classify.onnx_cuda import fill
from pointsman.classify.packing import pack
from pointsman_export.export.checkpoint import open_checkpoint
from pointsman_export.export.graph.build import build_half_graph
from pointsman_export.export.interface import PACKED, PADDED
from pointsman_export.export.libraries import quiet
from pointsman_export.export.main import main
from pointsman_export.export.runtime import OnnxGraph, alone
from pointsman_export.export.torch_model import load_model
from pointsman_export.export.verify import torch_logits
from pointsman_export.fit.main import main as fit
from support.checkpoint import edit_json, folded

if TYPE_CHECKING:
    from typing import Any

    from pointsman.classify.tokenizer import Ids
    from support.export import Export

PROMPTS: list[Ids] = [np.random.default_rng(3).integers(0, 2000, length) for length in (1, 5, 65, 66, 200)]


def build(folder: Path) -> Any:
    return build_half_graph(*folded(folder))


@pytest.mark.parametrize(
    "config",
    [
        {"classifier_pooling": "mean", "max_position_embeddings": 256},  # fewer than the packed row has tokens
        {"classifier_pooling": "cls"},
        {"classifier_pooling": "cls", "num_hidden_layers": 3},  # its last layer is local
        {"local_attention": 20},  # a window within a block
        {"local_attention": 300},  # one over several
    ],
)
def test_it_computes_what_torch_does(copy: Path, tmp_path: Path, config: dict[str, Any]) -> None:
    """Alone and packed, and beside filler up to a bucket, which is nobody's prompt and leaves no NaN."""
    edit_json(copy / "config.json", **config)
    with quiet():
        model = load_model(open_checkpoint(str(copy)))
    expected = np.concatenate([torch_logits(model, [prompt]) for prompt in PROMPTS])
    onnx.save(build(copy), tmp_path / "half.onnx")
    graph = OnnxGraph(tmp_path / "half.onnx", for_gpu=True)

    filled = graph._run(fill(pack(PROMPTS), 512))

    assert np.isfinite(filled).all()
    for found in (alone(graph, PROMPTS), graph.logits(PROMPTS), filled[: len(PROMPTS)]):
        np.testing.assert_allclose(found, expected, atol=2e-2)


def test_a_cuda_graph_can_hold_it(tiny: Path) -> None:
    """No branches, no loops, and no shapes that a CPU would have to compute; both masks are made once."""
    graph = build(tiny).graph

    operators = Counter(node.op_type for node in graph.node)
    constants = {tensor.name for tensor in graph.initializer}
    assert not operators.keys() & {"If", "Loop", "Shape", "Range", "Expand"}
    shaped = [node for node in graph.node if node.op_type in {"Slice", "Reshape", "Pad"}]
    assert {name for node in shaped for name in node.input[1:]} <= constants
    assert (operators["MultiHeadAttention"], operators["Where"]) == (4, 2)


def test_a_local_layer_takes_time_in_proportion_to_the_row(tiny: Path, tmp_path: Path) -> None:
    """Its mask, which is as large as its scores, has 192 keys for each token of the row, however long that is."""
    model = build(tiny)
    biases = sorted({node.input[5] for node in model.graph.node if node.op_type == "MultiHeadAttention"})
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT16, None) for name in biases
    )
    onnx.save(model, tmp_path / "half.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "half.onnx", providers=["CPUExecutionProvider"])
    for tokens, blocks in ((64, 1), (640, 10)):
        found = session.run(biases, pack([np.ones(tokens, np.int64)], 64))
        assert {bias.shape for bias in found} == {(1, 1, tokens, tokens), (blocks, 1, 64, 192)}


@pytest.mark.parametrize(("window", "slices"), [(0, 3), (64, 3), (65, 5), (512, 17), (513, 0), (10**9, 0)])
def test_a_wide_window_is_not_cut_into_blocks(copy: Path, window: int, slices: int) -> None:
    """A graph has at most 17 slices for the keys of a local layer, for its values and for each mask."""
    edit_json(copy / "config.json", local_attention=2 * window)
    graph = build(copy).graph
    local = 2  # of the four layers
    assert sum(node.op_type == "Slice" for node in graph.node) == slices * 2 * (local + 1)


def test_weights_are_float16_but_for_the_head(tiny: Path) -> None:
    """What decides between labels keeps its floats, and nothing else does."""
    graph = build(tiny).graph

    floats = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT}
    assert floats == {"head.dense.weight", "head.norm.weight", "classifier.weight", "classifier.bias"}


def test_onnx_accepts_it(tiny: Path) -> None:
    """Operators and attributes are as the standard has them, but for those of ONNX Runtime."""
    onnx.checker.check_model(build(tiny))


def test_the_artifact_for_a_gpu(tiny: Path, export: Export) -> None:
    """The manifest says what it is for and what the proof ran on, and a host without a GPU can run it all the same."""
    outcome = export(tiny, "--target", "gpu", "--max-tokens", "64")

    loaded = artifact.load(outcome.folder)
    manifest, found = loaded.manifest, loaded.manifest.verification
    assert (outcome.code, manifest.target, manifest.precision, manifest.inputs) == (0, "gpu", "fp16", PACKED.names)
    assert found["values"]["max_difference"].keys() == {"float", "fp16"}
    assert found["batch"]["max_difference"].keys() == {"float", "fp16"}
    assert (found["logit_error"], found["float_layers"], found["latency_ms"]["median_by_tokens"]) == (None, None, {})
    assert found["provider"] in outcome.out
    assert np.allclose(Engine(loaded, ["cpu"]).run(PROMPTS[1:3]).sum(axis=1), 1)


def test_fit_takes_it_as_a_base(tiny: Path, export: Export, tmp_path: Path) -> None:
    """Its texts have whole blocks of tokens there, too."""
    base = export(tiny, "--target", "gpu", "--max-tokens", "64").folder
    rows = Path(__file__).parents[2] / "export" / "examples" / "five-domains.jsonl"
    assert fit(["--data", str(rows), "--base", str(base), "-o", str(tmp_path / "fitted")]) == 0
    assert artifact.load(tmp_path / "fitted").manifest.target == "gpu"


def test_the_plain_graph_for_a_gpu(tiny: Path, export: Export) -> None:
    """`--level plain` leaves the float graph as optimum exported it, with ONNX's own operators alone."""
    outcome = export(tiny, "--target", "gpu", "--level", "plain", "--max-tokens", "64")

    manifest = artifact.load(outcome.folder).manifest
    assert (outcome.code, manifest.precision, manifest.inputs) == (0, "fp32", PADDED.names)
    assert not [node for node in onnx.load(outcome.folder / "model.onnx").graph.node if node.domain]


def test_weights_beyond_float16_are_refused(copy: Path, export: Export) -> None:
    """They are found by the proof, not by users."""
    tensors = load_file(copy / "model.safetensors")
    tensors["model.layers.0.attn.Wqkv.weight"][-256:] *= 1e8
    tensors["model.layers.0.attn.Wo.weight"] /= 1e8
    save_file(tensors, copy / "model.safetensors")

    outcome = export(copy, "--target", "gpu", "--max-tokens", "64")

    assert (outcome.code, outcome.left) == (1, [])
    assert outcome.message.startswith("pointsman export: fp16: logits differ by nan, allowed 2e-02")


def test_nothing_is_int8_on_a_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    """An option that would have no effect is refused."""
    with pytest.raises(SystemExit) as exit_:
        main(["source", "-o", "x", "--target", "gpu", "--activations", "tensor"])

    assert exit_.value.code == 2
    assert "needs --target cpu" in capsys.readouterr().err

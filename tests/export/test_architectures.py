"""BERT's family: what their graphs compute, in float, in int8 and for a GPU, and what becomes of their artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import numpy_helper
from safetensors.torch import load_file, save_file

from pointsman.classify import artifact
from pointsman.classify.encoder import Encoder
from pointsman.classify.engine import Engine
from pointsman.classify.onnx_cuda import fill
from pointsman.classify.packing import pack
from pointsman.classify.tokenizer import TextWindow, Tokenizer
from pointsman.config.model import ClassifierOptions
from pointsman_export.common.errors import UnknownFormError
from pointsman_export.export.architectures import ARCHITECTURES
from pointsman_export.export.checkpoint import open_checkpoint
from pointsman_export.export.encoder_features import add_features
from pointsman_export.export.graph.build import build_graph, build_half_graph
from pointsman_export.export.graph.rounding import SYMMETRIC, Rounding, smooth
from pointsman_export.export.interface import PACKED, PADDED
from pointsman_export.export.libraries import quiet
from pointsman_export.export.main import main
from pointsman_export.export.recipe import FastRecipe
from pointsman_export.export.runtime import OnnxGraph, alone
from pointsman_export.export.selection import logit_error, rounded
from pointsman_export.export.torch_model import load_model
from pointsman_export.export.verify import torch_logits
from pointsman_export.fit.main import main as fit
from support.checkpoint import FAMILY, LABELS, MODERNBERT, edit_json, folded

if TYPE_CHECKING:
    from pointsman.classify.tokenizer import Ids
    from support.export import Source

KINDS = sorted(FAMILY)
OF_EACH_MODULE = [
    "BertForSequenceClassification",
    "MeanBertForSequenceClassification",
    "RobertaForSequenceClassification",
    "DistilBertForSequenceClassification",
]

PROMPTS: list[Ids] = [np.random.default_rng(3).integers(3, 2000, length) for length in (1, 2, 5, 64, 200, 513, 600)]
"""Up to all positions, and past the length from which attention is streamed; none has a padding token."""


@pytest.fixture(scope="module")
def exported(family: Source, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The artifact of each; not to be changed."""
    made: dict[str, Path] = {}

    def of(torch_class: str) -> Path:
        if torch_class not in made:
            made[torch_class] = tmp_path_factory.mktemp("exported") / torch_class
            assert (
                main([str(family(torch_class)), "-o", str(made[torch_class]), "--gate", "0.9", "--max-error", "0.05"])
                == 0
            )
        return made[torch_class]

    return of


@cache
def model_of(folder: Path) -> Any:
    """The torch model; not to be changed."""
    with quiet():
        return load_model(open_checkpoint(str(folder)))


def session(model: onnx.ModelProto, path: Path) -> OnnxGraph:
    onnx.save(model, path)
    return OnnxGraph(path)


class Graphs:
    """The float and the int8 graph of a checkpoint, as the export writes them."""

    def __init__(self, folder: Path, target: Path) -> None:
        with quiet():
            checkpoint = open_checkpoint(str(folder))
            self.recipe = FastRecipe(checkpoint, load_model(checkpoint), "token", PROMPTS)
        self.recipe.write_float(target / "float.onnx")
        self.recipe.write_int8(target / "int8.onnx")
        self.float, self.int8 = OnnxGraph(target / "float.onnx"), OnnxGraph(target / "int8.onnx")


def test_every_architecture_is_tested() -> None:
    assert {*KINDS, MODERNBERT} == set(ARCHITECTURES)


@pytest.mark.parametrize("kind", KINDS)
def test_float_graph_computes_what_torch_does(family: Source, tmp_path: Path, kind: str) -> None:
    """For prompts of each length up to all positions: alone, and packed into one row in any order."""
    graph = session(build_graph(*folded(family(kind)), None), tmp_path / "float.onnx")
    expected = np.concatenate([torch_logits(model_of(family(kind)), [prompt]) for prompt in PROMPTS])

    np.testing.assert_allclose(alone(graph, PROMPTS), expected, atol=1e-4)
    np.testing.assert_allclose(graph.logits(PROMPTS), expected, atol=1e-4)
    np.testing.assert_allclose(graph.logits(PROMPTS[::-1]), expected[::-1], atol=1e-4)


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_an_int8_score_does_not_depend_on_the_pack(family: Source, tmp_path: Path, kind: str) -> None:
    """Whatever a prompt is packed with; and int8 stays near to float, from which it differs."""
    graphs = Graphs(family(kind), tmp_path)
    expected = alone(graphs.int8, PROMPTS)

    np.testing.assert_allclose(graphs.int8.logits(PROMPTS), expected, atol=3e-5)
    np.testing.assert_allclose(graphs.int8.logits(PROMPTS[::-1]), expected[::-1], atol=3e-5)
    assert 0 < logit_error(alone(graphs.float, PROMPTS), expected) < 0.05


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_a_rounded_layer_computes_what_its_int8_form_does(family: Source, tmp_path: Path, kind: str) -> None:
    """With all layers rounded, torch is far nearer to the int8 graph than the float graph is."""
    graphs = Graphs(family(kind), tmp_path)
    recipe = graphs.recipe
    model = recipe.to_round(model_of(family(kind)))

    with ExitStack() as stack:
        for name in recipe.layers:
            layer = model.base_model.get_submodule(name)
            stack.enter_context(rounded(layer, "token", recipe.roundings.get(name, SYMMETRIC)))
        found = np.concatenate([torch_logits(model, [prompt]) for prompt in PROMPTS])

    int8 = alone(graphs.int8, PROMPTS)
    assert logit_error(int8, found) < logit_error(int8, alone(graphs.float, PROMPTS)) / 4


def test_outliers_behind_a_norm_cost_int8_little(bert: Path, tmp_path: Path) -> None:
    """A channel that is 50 times as large as the others, as trained models have them, is divided before rounding."""
    tensors = load_file(bert / "model.safetensors")
    for name, tensor in tensors.items():
        if name.endswith("LayerNorm.weight"):
            tensor[7] *= 50
        if name.endswith(
            ("query.weight", "key.weight", "value.weight", "intermediate.dense.weight", "pooler.dense.weight")
        ):
            tensor[:, 7] /= 50
    save_file(tensors, bert / "model.safetensors")
    graphs = Graphs(bert, tmp_path)
    expected = alone(graphs.float, PROMPTS)

    without = session(build_graph(*folded(bert), "token"), tmp_path / "without.onnx")

    assert logit_error(expected, alone(graphs.int8, PROMPTS)) < logit_error(expected, alone(without, PROMPTS)) / 3


def test_int8_begins_where_gelu_does(bert: Path, tmp_path: Path) -> None:
    """Its steps are half as wide as if there were as many below zero as above."""
    tensors = load_file(bert / "model.safetensors")
    for layer in range(3):
        weight = tensors[f"bert.encoder.layer.{layer}.output.dense.weight"]
        step = weight.abs().amax(1, keepdim=True) / 127
        weight.copy_((weight / step).round() * step)  # so that nothing is lost by rounding it again
    save_file(tensors, bert / "model.safetensors")
    form, weights = folded(bert)
    names = [name for name in form.layers if not name.endswith(".output.dense") or "attention" in name]

    def error(roundings: Mapping[str, Rounding]) -> float:
        built = build_graph(form, weights, "token", names, roundings)
        return logit_error(expected, alone(session(built, tmp_path / "int8.onnx"), PROMPTS))

    expected = alone(session(build_graph(form, weights, None), tmp_path / "float.onnx"), PROMPTS)
    assert error(form.roundings(weights, {})) < error({}) * 0.7


def test_a_channel_that_is_never_used_is_left_alone() -> None:
    """An input or a weight column of zeros has no factor: nothing becomes infinite."""
    found = smooth(np.array([0.0, 2, 8]), np.array([[1.0, 0, 2]]), np.array([[1.0, 0, -3]]))

    assert found.factor is not None
    assert np.isfinite(found.factor).all()
    assert (found.factor > 0).all()


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_the_graph_for_a_gpu_computes_what_torch_does(family: Source, tmp_path: Path, kind: str) -> None:
    """Alone and packed, and beside filler up to a bucket; without branches or loops, which no CUDA graph can hold."""
    model = build_half_graph(*folded(family(kind)))
    graph = session(model, tmp_path / "half.onnx")
    prompts = PROMPTS[:5]
    expected = np.concatenate([torch_logits(model_of(family(kind)), [prompt]) for prompt in prompts])

    filled = graph._run(fill(pack(prompts), 512))[: len(prompts)]

    for found in (alone(graph, prompts), graph.logits(prompts), filled):
        assert logit_error(expected, found) < 0.005
    assert not {node.op_type for node in model.graph.node} & {
        "If",
        "Loop",
        "Shape",
        "Slice",
        "Range",
        "Expand",
        "Reshape",
    }


@pytest.mark.parametrize("rows", [2048, 2049, 2063])
def test_shared_weights_are_where_kernels_can_read_them(bert: Path, tmp_path: Path, rows: int) -> None:
    """At multiples of 64 bytes, whatever the vocabulary: those of 1 KiB or more are stored one behind the other."""
    tensors = load_file(bert / "model.safetensors")
    words = "bert.embeddings.word_embeddings.weight"
    tensors[words] = torch.cat([tensors[words], tensors[words][: rows - 2048]])
    save_file(tensors, bert / "model.safetensors")
    edit_json(bert / "config.json", vocab_size=rows)

    model = build_graph(*folded(bert), "token")

    sizes = [numpy_helper.to_array(tensor).nbytes for tensor in model.graph.initializer]
    assert {size % 64 for size in sizes if size >= 1024} == {0}


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_folding_changes_nothing_in_float(family: Source, kind: str) -> None:
    """Token types and the biases of keys and values are gone, and the torch model gives the same without them."""
    checkpoint, model = open_checkpoint(str(family(kind))), model_of(family(kind))

    without = FastRecipe(checkpoint, model, "token").to_round(model)

    gone = [name for name, value in without.named_parameters() if not value.any()]
    assert len(gone) == 2 * 3 + ("DistilBert" not in kind)
    assert not [name for name, value in model.named_parameters() if not value.any()]
    np.testing.assert_allclose(torch_logits(without, PROMPTS), torch_logits(model, PROMPTS), atol=1e-4)


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_onnx_accepts_the_graphs(family: Source, kind: str) -> None:
    """Operators, attributes and types are as the standard has them, but for those of ONNX Runtime."""
    onnx.checker.check_model(build_graph(*folded(family(kind)), "token"), full_check=True)
    onnx.checker.check_model(build_half_graph(*folded(family(kind))))


def test_onnx_runtime_leaves_the_norms_as_they_are(family: Source, tmp_path: Path) -> None:
    """It does not fuse them with the sums before them, into a kernel that takes eight times as long on a CPU."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    options.log_severity_level = 3  # it warns that such a file is for this host alone
    model = build_graph(*folded(family("BertForSequenceClassification")), "token")
    onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])

    operators = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]

    assert operators.count("LayerNormalization") == 1 + 2 * 3
    assert "SkipLayerNormalization" not in operators


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_the_artifact_is_served(exported: Source, kind: str) -> None:
    """It is the packed graph in int8, as long as the model's positions allow, and the daemon proves and runs it."""
    loaded = artifact.load(exported(kind))
    manifest = loaded.manifest

    Encoder(loaded, ClassifierOptions(threads=2)).close()
    text = "What is the derivative of x^x? " * 200
    window = TextWindow.even(manifest.max_tokens)
    (encoded,) = Tokenizer(loaded.tokenizer_path).encode([window.cut_text(text)], window)

    assert (manifest.inputs, manifest.precision, manifest.max_tokens) == (PACKED.names, "int8", 512)
    assert (len(encoded.ids), encoded.cut) == (512, True)
    assert np.isfinite(Engine(loaded, ["cpu"]).run([encoded.ids, encoded.ids[:7]])).all()


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_all_positions_can_be_read_and_no_more(family: Source, tmp_path: Path, kind: str) -> None:
    """RoBERTa's first position is its third row, so it reads two tokens less than its table has rows."""
    checkpoint = open_checkpoint(str(family(kind)))
    options = [str(family(kind)), "-o", str(tmp_path / "out"), "--gate", "0", "--max-error", "1"]

    assert checkpoint.architecture.positions == 600
    assert main([*options, "--max-tokens", "601"]) == 1
    assert main([*options, "--max-tokens", "600"]) == 0


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_fit_takes_the_artifact_as_a_base(exported: Source, family: Source, tmp_path: Path, kind: str) -> None:
    """A new head reads the last layer's first token or mean, not what the old head makes of it."""
    rows = Path(__file__).parents[2] / "export" / "examples" / "five-domains.jsonl"
    folder = tmp_path / "fitted"
    graph = tmp_path / "model.onnx"
    onnx.save(build_graph(*folded(family(kind)), None), graph)
    hidden = [model_of(family(kind)).base_model(_batch(prompt)).last_hidden_state for prompt in PROMPTS]
    pooled = [rows.mean(1) if "Mean" in kind else rows[:, 0] for rows in hidden]

    described = add_features(graph, "logits")
    features = np.concatenate([OnnxGraph(graph, output=described.output).logits([prompt]) for prompt in PROMPTS])

    expected = np.concatenate([row.detach().numpy() for row in pooled])
    assert features.shape[1] == described.width
    np.testing.assert_allclose(features[:, -expected.shape[1] :], expected, atol=1e-4)
    assert fit(["--data", str(rows), "--base", str(exported(kind)), "-o", str(folder)]) == 0
    assert artifact.load(folder).manifest.labels == ["banking", "cooking", "home devices", "travel", "work"]
    assert artifact.load(exported(kind)).manifest.labels == LABELS


@pytest.mark.parametrize("kind", OF_EACH_MODULE)
def test_plain_on_request(family: Source, tmp_path: Path, kind: str) -> None:
    """optimum's graph, padded, with the same layers in int8."""
    folder = tmp_path / "out"

    assert main([str(family(kind)), "-o", str(folder), "--level", "plain", "--gate", "0", "--max-error", "1"]) == 0

    loaded = artifact.load(folder)
    assert (loaded.manifest.inputs, loaded.manifest.precision) == (PADDED.names, "int8")
    products = [node for node in onnx.load(folder / "model.onnx").graph.node if node.op_type == "MatMulInteger"]
    assert len(products) == 6 * 3


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("BertForSequenceClassification", {"hidden_act": "gelu_new"}),
        ("BertForSequenceClassification", {"position_embedding_type": "relative_key"}),
        ("BertForSequenceClassification", {"is_decoder": True}),
        ("BertForSequenceClassification", {"pruned_heads": {"0": [1]}}),
        ("DistilBertForSequenceClassification", {"activation": "relu"}),
    ],
)
def test_unknown_forms(kind: str, change: dict[str, Any]) -> None:
    """What the builder does not know is named by `check`, on which optimum exports it."""
    architecture = ARCHITECTURES[kind](FAMILY[kind] | change)
    with pytest.raises(UnknownFormError, match=f"^{next(iter(change))} is .*, expected"):
        architecture.check()


def _batch(prompt: Ids) -> Any:
    return torch.from_numpy(prompt)[None]

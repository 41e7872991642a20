"""The graph that is built from the weights: what it computes, and what a prompt's score depends on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointsman.classify import artifact
from pointsman_export.common.errors import UnknownFormError
from pointsman_export.export.checkpoint import open_checkpoint
from pointsman_export.export.encoder_features import add_features
from pointsman_export.export.graph import attention
from pointsman_export.export.graph.build import build_graph
from pointsman_export.export.graph.modernbert import ModernBert
from pointsman_export.export.interface import PACKED, PADDED
from pointsman_export.export.libraries import quiet
from pointsman_export.export.main import main
from pointsman_export.export.runtime import OnnxGraph, alone
from pointsman_export.export.selection import logit_error
from pointsman_export.export.torch_model import load_model
from pointsman_export.export.verify import torch_logits
from support.checkpoint import edit_json, folded

if TYPE_CHECKING:
    from pathlib import Path

    from pointsman.classify.tokenizer import Ids
    from pointsman_export.export.graph.linear import Activations
    from support.export import Export

Change = Callable[["Path"], None]
Built = Callable[..., OnnxGraph]

PROMPTS: list[Ids] = [
    np.random.default_rng(3).integers(0, 2000, length) for length in (1, 5, 65, 66, 200, 256, 257, 320, 600)
]
"""Of each kind that is computed in its own way."""


def config(**changes: Any) -> Change:
    return lambda folder: edit_json(folder / "config.json", **changes)


def norm_biases(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    norms = [name for name in tensors if name.endswith("norm.weight")]
    generator = torch.Generator().manual_seed(1)
    biases = {name.replace("weight", "bias"): torch.randn(256, generator=generator) / 10 for name in norms}
    save_file(tensors | biases, folder / "model.safetensors")
    edit_json(folder / "config.json", norm_bias=True)


@pytest.fixture
def graph(tmp_path: Path) -> Built:
    """A session of a folder's graph."""

    def build(folder: Path, activations: Activations | None = None) -> OnnxGraph:
        onnx.save(build_graph(*folded(folder), activations), tmp_path / "model.onnx")
        return OnnxGraph(tmp_path / "model.onnx")

    return build


@pytest.mark.parametrize(
    "change",
    [
        config(),
        config(classifier_pooling="cls"),
        config(classifier_pooling="cls", num_hidden_layers=3),  # its last layer is local
        config(num_attention_heads=8, local_attention=50, global_attn_every_n_layers=2),
        config(local_attention=300, local_rope_theta=None),
        norm_biases,
    ],
)
def test_float_graph_computes_what_torch_does(copy: Path, graph: Built, change: Change) -> None:
    """For each form of the config, and prompts of each length: alone, and all of them packed into one row."""
    change(copy)
    with quiet():
        model = load_model(open_checkpoint(str(copy)))
    built = graph(copy)
    expected = np.concatenate([torch_logits(model, [prompt]) for prompt in PROMPTS])

    np.testing.assert_allclose(alone(built, PROMPTS), expected, atol=1e-4)
    np.testing.assert_allclose(built.logits(PROMPTS), expected, atol=1e-4)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_with_scales_per_token_a_score_does_not_depend_on_the_pack(copy: Path, graph: Built, pooling: str) -> None:
    """Whatever a prompt is packed with, and wherever in the row, its int8 logits stay the same."""
    edit_json(copy / "config.json", classifier_pooling=pooling)
    built = graph(copy, "token")
    expected = alone(built, PROMPTS)

    np.testing.assert_allclose(built.logits(PROMPTS), expected, atol=1e-5)
    np.testing.assert_allclose(built.logits(PROMPTS[::-1]), expected[::-1], atol=1e-5)


def test_with_a_scale_per_tensor_a_score_depends_on_the_pack(tiny: Path, graph: Built) -> None:
    """That is its price, for which the proof does not compare a pack in int8."""
    built = graph(tiny, "tensor")

    assert np.abs(built.logits(PROMPTS) - alone(built, PROMPTS)).max() > 1e-4


@pytest.mark.parametrize(("limit", "value"), [("BANDED_ABOVE", 66), ("BANDED_ABOVE", 1024), ("STREAMED_ABOVE", 1)])
def test_long_prompts_are_computed_otherwise_and_give_the_same(
    tiny: Path, graph: Built, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    """In blocks or under one mask, in one piece or in a stream: the limits are there for speed alone."""
    expected = alone(graph(tiny), PROMPTS)

    monkeypatch.setattr(attention, limit, value)

    np.testing.assert_allclose(alone(graph(tiny), PROMPTS), expected, atol=1e-5)


def test_balancing_changes_nothing_in_float(tiny: Path) -> None:
    """Norms are divided by what the next layer is multiplied with; the two together stay what they were."""
    _, balanced = folded(tiny)
    original = {
        name.removeprefix("model."): tensor.numpy() for name, tensor in load_file(tiny / "model.safetensors").items()
    }

    for layer in range(4):
        for norm, linear in (("attn_norm", "attn.Wqkv"), ("mlp_norm", "mlp.Wi")):
            names = f"layers.{layer}.{norm}.weight", f"layers.{layer}.{linear}.weight"
            if names[0] in original:
                before, after = (weights[names[1]] * weights[names[0]] for weights in (original, balanced))
                np.testing.assert_allclose(after, before, rtol=1e-5)


def test_outliers_behind_a_norm_cost_int8_nothing(copy: Path, graph: Built) -> None:
    """A channel 2,000 times as large as the others, as trained models have them, leaves int8 as near to float."""
    prompts = PROMPTS[:4]
    usual = logit_error(alone(graph(copy), prompts), alone(graph(copy, "token"), prompts))
    tensors = load_file(copy / "model.safetensors")
    for layer in range(4):
        tensors[f"model.layers.{layer}.mlp_norm.weight"][0] *= 2000
        tensors[f"model.layers.{layer}.mlp.Wi.weight"][:, 0] /= 2000
    save_file(tensors, copy / "model.safetensors")

    with_outliers = logit_error(alone(graph(copy), prompts), alone(graph(copy, "token"), prompts))

    assert with_outliers < 2 * usual


def test_a_token_of_zeros_has_products_of_zero(copy: Path, graph: Built) -> None:
    """It has a scale of zero, by which nothing can be divided."""
    tensors = load_file(copy / "model.safetensors")
    for layer in range(4):
        tensors[f"model.layers.{layer}.mlp.Wi.weight"][:] = 0
    save_file(tensors, copy / "model.safetensors")
    expected = alone(graph(copy), PROMPTS)

    np.testing.assert_allclose(alone(graph(copy, "token"), PROMPTS), expected, atol=0.01 * np.abs(expected).max())


def test_a_dead_channel_is_left_alone() -> None:
    """A norm's weight of zero, or a weight column of zeros, has no factor: nothing becomes infinite."""
    form = ModernBert({"num_hidden_layers": 1, "max_position_embeddings": 4})
    weights = {
        "layers.0.mlp_norm.weight": np.array([0, 2, 8], np.float32),
        "layers.0.mlp.Wi.weight": np.array([[1, 0, 2], [1, 0, -1]], np.float32),
    }

    form.fold(weights)

    assert weights["layers.0.mlp_norm.weight"].tolist() == [0, 2, 4]
    assert weights["layers.0.mlp.Wi.weight"].tolist() == [[1, 0, 4], [1, 0, -2]]


def test_weights_are_stored_once_and_outside_of_branches(tiny: Path) -> None:
    """Short, long, single and packed prompts share one copy; what int8 is made of is not kept beside it."""
    form, weights = folded(tiny)

    model = build_graph(form, weights, "token")

    branches = list(_subgraphs(model.graph))
    assert len(branches) > 4 * 4
    assert not [branch.name for branch in branches if branch.initializer or _constants(branch)]
    stored = sum(
        np.prod(tensor.dims) for tensor in model.graph.initializer if tensor.data_type == onnx.TensorProto.INT8
    )
    linears = sum(weights[f"{name}.weight"].size for name in form.layers)
    assert stored == linears


def test_named_layers_stay_in_float(tiny: Path) -> None:
    """Those and no others, with their inputs."""
    model = build_graph(*folded(tiny), "token", ["layers.1.mlp.Wi", "embeddings.tok_embeddings"])

    matrices = {
        tensor.name.split("[")[0].removesuffix(".weight")
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2 and tensor.name.endswith(".weight")
    }
    assert matrices == {"layers.1.mlp.Wi", "embeddings.tok_embeddings", "head.dense", "classifier"}


def test_the_graph_is_built_without_torch() -> None:
    """numpy, onnx and safetensors are enough, and they start in a fraction of the time."""
    program = (
        "import sys, pointsman_export.export.graph.build; sys.exit(bool({'torch', 'optimum'} & sys.modules.keys()))"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_onnx_accepts_the_graph(tiny: Path) -> None:
    """Operators, attributes and types are as the standard has them, but for those of ONNX Runtime."""
    onnx.checker.check_model(build_graph(*folded(tiny), "token"), full_check=True)


def test_heads_read_the_pooled_output(tiny: Path, tmp_path: Path) -> None:
    """The last of the features are torch's mean over a prompt's tokens in the last layer."""
    with quiet():
        model = load_model(open_checkpoint(str(tiny)))
    prompts = PROMPTS[1:5]
    with torch.inference_mode():
        hidden = [model.model(torch.from_numpy(prompt)[None]).last_hidden_state.mean(1) for prompt in prompts]
    expected = torch.cat(hidden).numpy()
    graph = tmp_path / "model.onnx"
    onnx.save(build_graph(*folded(tiny), None), graph)

    described = add_features(graph, "logits")
    features = OnnxGraph(graph, output=described.output).logits(prompts)

    np.testing.assert_allclose(features[:, -expected.shape[1] :], expected, atol=1e-4)


# --- the command -----------------------------------------------------------------------------------------------


def test_an_unknown_form_falls_back(copy: Path, export: Export) -> None:
    """A checkpoint that the builder does not know is exported by optimum, and the terminal says so and why."""
    edit_json(copy / "config.json", hidden_activation="silu")

    outcome = export(copy, "--gate", "0", "--max-error", "1")

    manifest = artifact.load(outcome.folder).manifest
    assert outcome.code == 0
    assert [step for step in outcome.steps if "no fast graph" in step and "hidden_activation is 'silu'" in step]
    assert manifest.inputs == PADDED.names
    assert manifest.verification["graph"] == {"level": "plain", "activation_scales": "token"}


def test_an_unknown_form_is_refused_where_only_the_fast_graph_will_do(copy: Path, export: Export) -> None:
    """A scale per tensor was asked for, which the plain graph has not."""
    edit_json(copy / "config.json", mlp_bias=True)
    tensors = load_file(copy / "model.safetensors")
    for layer in range(4):
        tensors |= {
            f"model.layers.{layer}.mlp.Wi.bias": torch.zeros(768),
            f"model.layers.{layer}.mlp.Wo.bias": torch.zeros(256),
        }
    save_file(tensors, copy / "model.safetensors")

    outcome = export(copy, "--activations", "tensor")

    assert (outcome.code, outcome.left) == (1, [])
    assert "mlp_bias is True" in outcome.message
    assert "omit it" in outcome.message


def test_unknown_forms() -> None:
    """Pooling that the graph has not."""
    with pytest.raises(UnknownFormError, match="classifier_pooling is 'max'"):
        ModernBert({"classifier_pooling": "max", "num_hidden_layers": 1, "max_position_embeddings": 4}).check()


def test_plain_on_request(tiny: Path, export: Export) -> None:
    """`--level plain` gives the padded graph, with the check of its padding."""
    outcome = export(tiny, "--level", "plain", "--max-tokens", "64")

    manifest = artifact.load(outcome.folder).manifest
    assert (outcome.code, manifest.inputs) == (0, PADDED.names)
    padding = manifest.verification["padding"]
    assert all(value <= padding["tolerance"][name] for name, value in padding["max_difference"].items())


def test_a_scale_per_tensor_on_request(tiny: Path, export: Export) -> None:
    """`--activations tensor` is kept in the manifest, and no independence of int8 is claimed."""
    outcome = export(tiny, "--activations", "tensor", "--max-tokens", "64", "--gate", "0.9", "--max-error", "0.05")

    manifest = artifact.load(outcome.folder).manifest
    assert (outcome.code, manifest.inputs) == (0, PACKED.names)
    assert manifest.verification["graph"] == {"level": "fast", "activation_scales": "tensor"}
    assert manifest.verification["batch"]["max_difference"].keys() == {"float"}


def test_no_scale_per_tensor_in_the_plain_graph(capsys: pytest.CaptureFixture[str]) -> None:
    """The two options exclude each other."""
    with pytest.raises(SystemExit) as exit_:
        main(["source", "-o", "x", "--level", "plain", "--activations", "tensor"])

    assert exit_.value.code == 2
    assert "needs --level fast" in capsys.readouterr().err


def _subgraphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield attribute.g
                yield from _subgraphs(attribute.g)


def _constants(graph: onnx.GraphProto) -> list[str]:
    return [node.name for node in graph.node if node.op_type == "Constant"]

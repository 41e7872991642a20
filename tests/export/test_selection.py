"""Which layers stay in float."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from safetensors.torch import load_file, save_file

from pointsman.classify.tokenizer import Ids, TextWindow, Tokenizer
from pointsman_export.export import verify
from pointsman_export.export.checkpoint import Checkpoint, open_checkpoint
from pointsman_export.export.libraries import quiet
from pointsman_export.export.recipe import FastRecipe, PlainRecipe, Recipe
from pointsman_export.export.runtime import OnnxGraph
from pointsman_export.export.selection import logit_error, quantize_to_max_error, rank, rounded
from pointsman_export.export.texts import BUILT_IN
from pointsman_export.export.torch_model import load_model

LAYERS = 4
OUTLIER = "layers.1.mlp.Wo"


@pytest.fixture(scope="module")
def prompts(tiny: Path) -> list[Ids]:
    tokenizer = Tokenizer(tiny / "tokenizer.json")
    return [encoded.ids for encoded in tokenizer.encode(BUILT_IN[:40], TextWindow(64, 0.5))]


@pytest.fixture(scope="module")
def checkpoint(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """One input of one layer weighs so much that int8 keeps little of the layer's others."""
    folder = shutil.copytree(tiny, tmp_path_factory.mktemp("outlier") / "outlier")
    tensors = load_file(folder / "model.safetensors")
    tensors[f"model.{OUTLIER}.weight"][:, 7] *= 1000
    save_file(tensors, folder / "model.safetensors")
    return open_checkpoint(str(folder))


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint) -> Any:
    """Not to be changed."""
    with quiet():
        return load_model(checkpoint)


@pytest.fixture(scope="module", params=["fast", "plain"])
def recipe(checkpoint: Checkpoint, model: Any, request: pytest.FixtureRequest) -> Recipe:
    return FastRecipe(checkpoint, model, "token") if request.param == "fast" else PlainRecipe(checkpoint, model)


@pytest.fixture(scope="module")
def float_path(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("float") / "float.onnx"
    with quiet():
        recipe.write_float(path)
    return path


@pytest.fixture
def paths(float_path: Path, tmp_path: Path) -> dict[str, Path]:
    return {"float": float_path, "int8": tmp_path / "int8.onnx"}


def test_a_layer_that_hurts_stays_in_float(
    recipe: Recipe, model: Any, paths: dict[str, Path], prompts: list[Ids]
) -> None:
    """The layer with the outlier alone, since that is enough; the graph that is written has the error that is told."""
    steps: list[str] = []

    found = quantize_to_max_error(recipe, model, paths, prompts, 0.02, steps.append)

    assert found.float_layers == [OUTLIER]
    assert found.error <= found.bound == 0.02 < found.int8_error
    assert (found.layers, found.texts, len(steps)) == (17, 40, 2)
    linears = [tensor for tensor in onnx.load(paths["int8"]).graph.initializer if list(tensor.dims) == [384, 256]]
    types = [tensor.data_type for tensor in linears]
    assert types.count(onnx.TensorProto.FLOAT) == 1
    assert types.count(onnx.TensorProto.INT8) == LAYERS - 1
    both = [
        np.concatenate([OnnxGraph(paths[name]).logits([prompt]) for prompt in prompts]) for name in ("float", "int8")
    ]
    assert logit_error(*both) == pytest.approx(found.error)


def test_no_layer_is_measured_when_int8_throughout_is_near_enough(
    recipe: Recipe, model: Any, paths: dict[str, Path], prompts: list[Ids]
) -> None:
    """Under the bound the list is empty, and the time is saved."""
    steps: list[str] = []

    found = quantize_to_max_error(recipe, model, paths, prompts, 0.5, steps.append)

    assert (found.float_layers, steps, found.error) == ([], [], found.int8_error)


def test_an_error_bound_of_zero_keeps_every_layer(
    recipe: Recipe, model: Any, paths: dict[str, Path], prompts: list[Ids]
) -> None:
    """A bound that nothing else can meet ends with all in float rather than without an end."""
    found = quantize_to_max_error(recipe, model, paths, prompts[:4], 0.0, lambda _: None)

    assert (len(found.float_layers), found.error) == (17, 0.0)


def test_a_rounded_layer_computes_what_its_int8_form_does(
    recipe: Recipe, model: Any, paths: dict[str, Path], prompts: list[Ids]
) -> None:
    """With all layers rounded, torch is far nearer to the int8 graph than the float graph is."""
    int8_error = quantize_to_max_error(recipe, model, paths, prompts, 1.0, lambda _: None).int8_error
    balanced = recipe.to_round(model)

    with ExitStack() as stack:
        for name in recipe.layers:
            stack.enter_context(rounded(balanced.base_model.get_submodule(name)))
        torch = verify.torch_logits(balanced, prompts[:8])

    assert logit_error(OnnxGraph(paths["int8"]).logits(prompts[:8]), torch) < int8_error / 4


def test_ranking_leaves_the_model_as_it_was(checkpoint: Checkpoint, model: Any, prompts: list[Ids]) -> None:
    """Rounded weights and inputs are put back."""
    before = verify.torch_logits(model, prompts[:4])

    ranked = rank(model, checkpoint.architecture.layers, prompts[:4])

    assert ranked[0] == OUTLIER
    np.testing.assert_array_equal(verify.torch_logits(model, prompts[:4]), before)


def test_what_changes_no_probability_is_no_error() -> None:
    """A constant added to all labels of a text does not count; a difference counts as a share of the spread."""
    logits = np.array([[1, -1, 0], [2, 0, -2]], np.float32)

    assert logit_error(logits, logits + 5) == pytest.approx(0, abs=1e-6)
    assert logit_error(logits, logits * np.float32(1.1)) == pytest.approx(0.1)

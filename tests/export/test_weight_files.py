"""The forms in which checkpoints keep their weights."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file

from pointsman.classify import artifact
from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.checkpoint import open_checkpoint
from pointsman_export.export.graph.build import build_graph
from pointsman_export.export.runtime import OnnxGraph, alone
from pointsman_export.export.torch_model import load_model
from pointsman_export.export.verify import random_prompts, torch_logits
from support.checkpoint import folded

if TYPE_CHECKING:
    from pathlib import Path

    from support.export import Export

PROMPTS = random_prompts(2048, 300, 0)


@pytest.fixture
def sharded(bert: Path) -> Path:
    """The checkpoint in several files and an index."""
    model = load_model(open_checkpoint(str(bert)))
    (bert / "model.safetensors").unlink()
    model.save_pretrained(bert, max_shard_size="700KB")
    assert len(list(bert.glob("model-*.safetensors"))) > 1
    return bert


def edit_index(folder: Path, **files: str) -> Path:
    """Let the index name other files for tensors."""
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    index["weight_map"] |= files
    path.write_text(json.dumps(index))
    return path


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_exactly(bert: Path, tmp_path: Path, kind: torch.dtype) -> None:
    """The float graph computes with the same numbers, in float32."""
    load_model(open_checkpoint(str(bert))).to(kind).save_pretrained(bert)
    onnx.save(build_graph(*folded(bert), None), tmp_path / "float.onnx")

    found = alone(OnnxGraph(tmp_path / "float.onnx"), PROMPTS)

    expected = [torch_logits(load_model(open_checkpoint(str(bert))), [prompt]) for prompt in PROMPTS]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-4)


def test_shards_give_the_same_artifact_as_one_file(bert: Path, sharded: Path, export: Export) -> None:
    """The source's hash is that of the shards one after another, as `cat` prints them."""
    options = ("--gate", "0", "--max-error", "1", "--max-tokens", "64", "--force")
    found = artifact.read_manifest(export(sharded, *options).folder)
    shards = sorted(sharded.glob("model-*.safetensors"))
    whole = b"".join(path.read_bytes() for path in shards)
    load_model(open_checkpoint(str(sharded))).save_pretrained(bert)

    one = artifact.read_manifest(export(bert, *options).folder)

    assert found.files == one.files
    assert found.source.sha256 == hashlib.sha256(whole).hexdigest()
    assert one.source.sha256 == artifact.sha256(bert / "model.safetensors")


def test_a_missing_shard_is_named(sharded: Path) -> None:
    first = min(sharded.glob("model-*.safetensors"))
    first.unlink()

    with pytest.raises(CheckpointError, match=f"{first.name}: cannot be read"):
        open_checkpoint(str(sharded))


@pytest.mark.parametrize("name", ["model-00001-of-*.safetensors", "model.safetensors.index.json"])
def test_a_shard_or_an_index_that_is_a_pointer_of_git_lfs_is_named(sharded: Path, name: str) -> None:
    """A clone without Git LFS has such a text in place of each of them."""
    (file,) = sharded.glob(name)
    file.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 600000000\n")

    with pytest.raises(CheckpointError, match=f"{file}: is a Git LFS pointer, not the file itself; run `git lfs"):
        open_checkpoint(str(sharded))


def test_a_tensor_of_a_shard_that_is_no_number_is_named(sharded: Path) -> None:
    first = min(sharded.glob("model-*.safetensors"))
    tensors = load_file(first)
    name = next(iter(tensors))
    tensors[name].view(-1)[0] = float("nan")
    save_file(tensors, first)

    with pytest.raises(CheckpointError, match=f"{sharded}: {name} holds NaN or infinity"):
        load_model(open_checkpoint(str(sharded)))


@pytest.mark.parametrize("name", ["../secret.safetensors", "/etc/passwd", "model.bin"])
def test_an_index_names_files_of_its_folder_alone(sharded: Path, name: str) -> None:
    path = edit_index(sharded, **{"classifier.weight": name})

    with pytest.raises(CheckpointError, match=f"{path}: names '{name}', which is no safetensors file of this folder"):
        open_checkpoint(str(sharded))


def test_an_index_names_a_thousand_files_at_most(sharded: Path) -> None:
    edit_index(sharded, **{f"tensor{number}": f"model-{number}.safetensors" for number in range(1001)})

    with pytest.raises(CheckpointError, match="at most 1,000 are read"):
        open_checkpoint(str(sharded))


@pytest.mark.parametrize("content", ["{}", '{"weight_map": {}}', '{"weight_map": {"a": 1}}', '{"weight_map": []}'])
def test_an_index_without_a_map_is_refused(sharded: Path, content: str) -> None:
    (sharded / "model.safetensors.index.json").write_text(content)

    with pytest.raises(CheckpointError, match="has no weight_map"):
        open_checkpoint(str(sharded))

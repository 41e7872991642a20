"""Find the safetensors files of a checkpoint: one, or the shards that an index names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath

from pointsman import files
from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.safetensors_header import tensor_shapes
from pointsman_export.export.source_files import read_json

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
SHARDS = "model-*.safetensors"
_MAX_SHARDS = 1000
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")


def weight_files(folder: Path) -> list[Path]:
    """Return the files with the weights, in order of their names; raises CheckpointError."""
    single, index = folder / WEIGHTS, folder / INDEX
    if single.exists() or not index.exists():
        if not single.exists():
            refuse_pickled(str(folder), [path.name for path in folder.glob("*")])
        return [single]
    names = read_json(index).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise CheckpointError(f"{index}: has no weight_map of tensors to files; fetch or save it again")
    shards = sorted(set(names.values()))
    if outside := [name for name in shards if PurePath(name).name != name or not name.endswith(".safetensors")]:
        raise CheckpointError(
            f"{index}: names {outside[0]!r}, which is no safetensors file of this folder; save it again"
        )
    if len(shards) > _MAX_SHARDS:
        raise CheckpointError(f"{index}: names {len(shards):,} files, at most {_MAX_SHARDS:,} are read; save it again")
    return [folder / name for name in shards]


def refuse_pickled(where: str, names: Iterable[str]) -> None:
    """Raise CheckpointError if one of the files, none of which is a safetensors file, contains pickled weights."""
    pickled = sorted(name for name in names if PurePath(name).name == name and PurePath(name).suffix in _PICKLED)
    if pickled:
        raise CheckpointError(
            f"{where}: holds its weights pickled only ({pickled[0]}), which can run code when they are loaded, so "
            "they are not read; load the model where you trust it and save it with save_pretrained(), which writes "
            f"{WEIGHTS}"
        )


def all_shapes(paths: Sequence[Path]) -> dict[str, list[int]]:
    """Return the shape of each tensor in all files; raises CheckpointError if a file is not complete."""
    return {name: shape for path in paths for name, shape in tensor_shapes(path).items()}


def sha256_of_all(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of the files' contents one after another, which for one file is that of the file."""
    digest = hashlib.sha256()
    for path in paths:
        with files.opened(path) as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()

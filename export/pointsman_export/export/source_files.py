"""Read the small files of a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from pointsman import files
from pointsman_export.common.errors import CheckpointError

T = TypeVar("T")

_MAX_JSON_BYTES = 16 << 20
"""The index of a large model has a line for each of its tensors, at most a few MB."""
_POINTER = b"version https://git-lfs.github.com/spec/"


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; raises CheckpointError."""
    return _read(path, dict, "object")


def read_list(path: Path) -> list[Any]:
    """Return the array in a JSON file; raises CheckpointError."""
    return _read(path, list, "array")


def _read(path: Path, kind: type[T], name: str) -> T:
    refuse_pointer(path)
    try:
        content = json.loads(files.read(path, _MAX_JSON_BYTES))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); name a folder with a checkpoint") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not JSON ({error}); fetch or save it again") from error
    if not isinstance(content, kind):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a JSON {name}; save it again")
    return content


def refuse_pointer(path: Path) -> None:
    """Raise CheckpointError if the file is the pointer that Git leaves if Git LFS is not installed for a clone."""
    try:
        with files.opened(path) as file:
            begin = file.read(len(_POINTER))
    except OSError:
        return  # the reader of the file reports the error
    if begin == _POINTER:
        raise CheckpointError(
            f"{path}: is a Git LFS pointer, not the file itself; run `git lfs install && git lfs pull` in its folder"
        )

"""Read the header of a safetensors file without the tensors.

The file consists of the header's length (8 bytes, little-endian), the header (JSON: name -> dtype, shape, data_offsets)
and the data.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from pointsman import files
from pointsman_export.common.errors import CheckpointError
from pointsman_export.export.source_files import refuse_pointer

_LENGTH_BYTES = 8
_MAX_HEADER_BYTES = 100_000_000
"""The limit of safetensors itself; a greater length means that this is another kind of file."""


def tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Return each tensor's shape; raises CheckpointError unless the file is as long as its header says."""
    refuse_pointer(path)
    try:
        with files.opened(path) as file:
            actual = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            header = file.read(length) if length <= _MAX_HEADER_BYTES else b""
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); save the model with save_pretrained(), which writes it"
        ) from error
    if len(header) < length <= _MAX_HEADER_BYTES:
        raise _truncated(path, "at least " + f"{_LENGTH_BYTES + length:,}", actual)
    try:
        tensors = {name: entry for name, entry in json.loads(header).items() if name != "__metadata__"}
        expected = _LENGTH_BYTES + length + max(entry["data_offsets"][1] for entry in tensors.values())
        shapes = {name: entry["shape"] for name, entry in tensors.items()}
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a safetensors file; fetch or save it again") from error
    if actual != expected:
        raise _truncated(path, f"{expected:,}", actual)
    return shapes


def _truncated(path: Path, expected: str, actual: int) -> CheckpointError:
    return CheckpointError(f"{path}: {actual:,} bytes, its header says {expected}; fetch or copy it again")

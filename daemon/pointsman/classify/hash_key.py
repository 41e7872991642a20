"""The key of the log's `text_hash`: without it nobody can tell from a log whether a known text was sent."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path

from pointsman import files

NAME = "text_hash.key"
KEY_BYTES = 32


def hash_key(folder: Path | None) -> tuple[bytes, str | None]:
    """Return the key in the state directory, made at the first start, and a warning if it cannot be stored there.

    Without a state directory, or a usable key in it, each process has a key of its own.
    """
    key = secrets.token_bytes(KEY_BYTES)
    if folder is None:
        return key, None
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            files.write(path, key, replace=False, mode=0o600)
        stored = read_key(path)
    except OSError as error:
        return key, (
            f"{path} cannot be used ({error.strerror}), so the text_hash of equal texts differs from process to "
            "process; check its permissions, or remove it and restart"
        )
    return stored, None


def read_key(path: Path) -> bytes:
    """Return the key in a file; raises OSError."""
    key = files.read(path, KEY_BYTES)
    if len(key) != KEY_BYTES:
        raise OSError(None, f"it is no key of {KEY_BYTES} bytes", str(path))
    return key

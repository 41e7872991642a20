"""The texts that an operator chose to keep."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from pointsman.errors import CannotStart
from pointsman.lru import Lru

# Hashes of texts that are in the file already, 15 MB of them at most; one that is forgotten may come a second time.
KEPT_TEXTS = 100_000


class KeptTexts:
    """The texts that an operator chose to keep: JSON lines `{"hash", "text"}` in a file that only its owner reads."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it; raises CannotStart."""
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            os.fchmod(self._file, 0o600)  # one that was there before may be open to others
        except OSError as error:
            raise CannotStart(
                f"pointsman.log.texts_file: {path} cannot be written ({error.strerror}); check path and permissions"
            ) from error
        self._kept: Lru[str, bool] = Lru(KEPT_TEXTS)

    def keep(self, text_hash: str, text: str) -> None:
        """Append a text, once; raises OSError."""
        if self._kept.get(text_hash) is None:
            os.write(self._file, msgspec.json.encode({"hash": text_hash, "text": text}) + b"\n")
            self._kept.put(text_hash, True)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

"""Keep classified texts in a file, if the operator enables it. No request waits for the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from pointsman.errors import CannotStart
from pointsman.lru import Lru
from pointsman.observability.line_writer import LineWriter, open_lines
from pointsman.observability.log import Log

# Hashes of texts already in the file, at most 15 MB in memory; a text whose hash was evicted may be written twice.
KEPT_TEXTS = 100_000
# What the disk has not taken so long after the end is lost.
CLOSE_SECONDS = 1.0


class KeptTexts:
    """The file of classified texts: JSON lines `{"hash", "text"}`, readable by its owner only."""

    def __init__(self, path: Path, log: Log, count_dropped: Callable[[], object]) -> None:
        """Open the file or create it; raises CannotStart. `count_dropped` is called for each text that is dropped."""
        try:
            self._file = open_lines(path)
        except OSError as error:
            raise CannotStart(
                f"pointsman.log.texts_file: {path} cannot be written ({error.strerror}); check path and permissions"
            ) from error
        self._path = path
        self._log = log
        self._count_dropped = count_dropped
        self._kept: Lru[str, bool] = Lru(KEPT_TEXTS)
        self._writer = LineWriter(self._file, "texts", self._lost, self._failing)

    def keep(self, text_hash: str, text: str) -> None:
        """Append a text soon, unless its hash is known; it is dropped while too many wait for the disk."""
        if self._kept.get(text_hash) is None:
            line = msgspec.json.encode({"hash": text_hash, "text": text}) + b"\n"
            if self._writer.put(line):
                self._kept.put(text_hash, True)
            else:
                self._count_dropped()

    def close(self) -> None:
        """Write what is queued and close the file; waits for the disk, at most CLOSE_SECONDS."""
        if self._writer.close(CLOSE_SECONDS):
            os.close(self._file)

    def _lost(self, texts: int, error: str | None) -> bytes:
        message = f"{texts} texts were not kept: {self._path} was not written in time"
        self._log.write("warning", "texts_file", message=message, dropped=texts, error=error)
        return b""

    def _failing(self, error: str) -> None:
        message = f"{self._path} cannot be written; it is tried again, and texts that cannot wait are dropped"
        self._log.write("warning", "texts_file", message=message, error=error)

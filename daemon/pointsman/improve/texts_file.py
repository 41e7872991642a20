"""Store classified texts in a file, if the operator enables it. No request waits for the disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from pointsman.config.model import LogOptions
from pointsman.improve.redaction import Redactor
from pointsman.lru import Lru
from pointsman.observability.log import Log
from pointsman.store.rotated_file import RotatedFile

NO_CATEGORY = "(none)"
# Hashes of texts already in the file, at most 15 MB in memory; a text whose hash was evicted may be written twice.
KEPT_TEXTS = 100_000
# The beginnings of the latest texts, which the page shows; at most 5 MB in memory.
LATEST_TEXTS, LATEST_CHARACTERS = 2_000, 500


class TextRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the file: a text, with the request that had it first and the decision about it.

    Lines of earlier releases have only hash and text. A text has a further line if the classifier in shadow differs.
    """

    hash: str
    text: str
    ts: str = ""
    request_id: str = ""
    client: str = ""
    """The name of the client's key, without keys its address; empty for a Unix socket."""
    model: str | None = None
    category: str | None = None
    confidence: float | None = None
    reason: str | None = None
    scores: dict[str, float] = {}
    """The scores of the two best categories."""
    shadow: str | None = None
    """The category by the classifier in shadow if it differs; NO_CATEGORY stands for none."""


class TextsFile:
    """The file of classified texts, readable by its owner only: JSON lines, each a `TextRecord`."""

    def __init__(self, options: LogOptions, log: Log, count_dropped: Callable[[], object]) -> None:
        """Open the file or create it; raises CannotStart. `count_dropped` is called for each text that is dropped."""
        self._path = Path(options.texts_file or "")
        self._log = log
        self._count_dropped = count_dropped
        self._below = round(options.texts_share * 2**32)
        self._redactor = Redactor(options.texts_redact)
        self._known_hashes: Lru[str, bool] = Lru(KEPT_TEXTS)
        self._begun = 0
        self._redacted_rows: list[TextRecord] = []
        self._latest: Lru[str, str] = Lru(LATEST_TEXTS)
        self._latest_begun = 0
        self._latest_lock = threading.Lock()
        self._file = RotatedFile(
            self._path,
            "pointsman.log.texts_file",
            options.texts_file_bytes,
            options.texts_files,
            self._failing,
            self._lost,
            self._redacted,
            self._remember_latest,
        )

    def wants(self, text_hash: str) -> bool:
        """Return whether a text is in the share to store, and not known to be in the file."""
        return not self.has(text_hash) and int(text_hash[:8], 16) < self._below

    def has(self, text_hash: str) -> bool:
        """Return whether a text is known to be in the file."""
        if self._begun != self._file.begun:  # the file was rotated, so its texts are new
            self._begun = self._file.begun
            self._known_hashes = Lru(KEPT_TEXTS)
        return self._known_hashes.get(text_hash) is not None

    def keep(self, row: TextRecord) -> None:
        """Append a text soon; drop it if too many wait for the disk."""
        if self._file.put(row):
            self._known_hashes.put(row.hash, True)
        else:
            self._count_dropped()

    def latest(self) -> dict[str, str]:
        """Return the beginnings of the latest texts by hash, as they are in the file; waits for the disk.

        None are left once the file was replaced, as by `pointsman texts delete`, or rotated.
        """
        with self._latest_lock:
            self._empty_latest(self._file.is_current_file())
            return dict(self._latest.items())

    def close(self) -> None:
        """Write everything queued and close the file; waits for the disk for a second at most."""
        self._file.close()

    def _redacted(self, data: bytes) -> bytes:
        """Redact the rows in some lines; runs in the thread that writes."""
        found = [msgspec.json.decode(line, type=TextRecord) for line in data.splitlines()]
        if not self._is_current_file():  # the shadow's opinion of a removed text must not bring it back
            found = [row for row in found if row.shadow is None]
        self._redacted_rows = [msgspec.structs.replace(row, text=self._redactor.redact(row.text)) for row in found]
        return msgspec.json.Encoder().encode_lines(self._redacted_rows)

    def _remember_latest(self) -> None:
        """Remember the rows that were written; runs in the thread that writes."""
        with self._latest_lock:
            self._empty_latest(True)
            for row in self._redacted_rows:
                self._latest.put(row.hash, row.text[:LATEST_CHARACTERS])

    def _empty_latest(self, current_file: bool) -> None:
        """Clear the latest texts if the file was rotated since, or is not at its path."""
        begun = self._file.begun
        if begun != self._latest_begun or not current_file:
            self._latest_begun = begun
            self._latest = Lru(LATEST_TEXTS)

    def _is_current_file(self) -> bool:
        try:
            return self._file.is_current_file()
        except OSError:  # reported when the rows are written
            return True

    def _lost(self, texts: int, error: str | None) -> bytes:
        message = f"{texts} texts were not stored: {self._path} was not written in time"
        self._log.write("warning", "texts_file", message=message, dropped=texts, error=error)
        return b""

    def _failing(self, error: str) -> None:
        message = f"{self._path} cannot be written; it is tried again, and texts that cannot wait are dropped"
        self._log.write("warning", "texts_file", message=message, error=error)

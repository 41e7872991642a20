"""Read the latest texts that the service has stored."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pointsman.improve.texts_file import TextRecord
from pointsman.lru import Lru
from pointsman.store.rotated_file import rows

MAX_TRAFFIC_ROWS = 5_000
"""The number of latest stored texts that are read."""


def latest_texts(path: Path | None, without: Collection[str] = ()) -> list[TextRecord]:
    """Return the latest stored texts, each once, but for those with some hashes; none if none are stored."""
    latest: Lru[str, TextRecord] = Lru(MAX_TRAFFIC_ROWS)
    try:
        for row in rows(path, TextRecord) if path is not None else ():
            if row.hash not in without and row.text.strip():
                latest.put(row.hash, row)
    except FileNotFoundError:
        return []
    return [row for _, row in latest.items()]

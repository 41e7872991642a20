"""The JSON lines of a log that grows, each parsed once however often a test looks, and a log in memory."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path
from typing import Any


class Log:
    """`eventually` looks from threads, several of which may do so at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._offset = 0
        self._lines: list[dict[str, Any]] = []

    def lines(self) -> list[dict[str, Any]]:
        """All that are whole; fails on one that is not a JSON object."""
        with self._lock, self._path.open("rb") as file:
            file.seek(self._offset)
            whole, end, _ = file.read().rpartition(b"\n")
            self._lines += [_parsed(line) for line in whole.splitlines()]
            self._offset += len(whole + end)
            return list(self._lines)


class Memory(io.StringIO):
    """A sink from which a `Log` in this process can be read at once."""

    dropped = 0

    def put(self, data: bytes, *, requests: bool = False) -> None:
        self.write(data.decode())


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except ValueError:
        fields = None
    assert isinstance(fields, dict), f"a log line that is not a JSON object: {line!r}"
    return fields

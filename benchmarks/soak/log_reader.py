"""Read a daemon's log from a pipe, as journald would, and stop reading when ordered to."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

KEPT = 20


class LogReader:
    """A thread that reads while `reading` is set.

    `errors` has the first lines at level error, but for reloads that failed, and what is no line.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self.reading = threading.Event()
        self.reading.set()
        self.lines = 0
        self.errors: list[str] = []

    def run(self) -> None:
        rest = b""
        while data := os.read(self._file, 65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._take(line)
            self.reading.wait()

    def _take(self, line: bytes) -> None:
        self.lines += 1
        try:
            found = json.loads(line)
            bad = found["level"] == "error" and found["event"] != "reload"
        except (ValueError, KeyError, TypeError):
            bad = True
        if bad and len(self.errors) < KEPT:
            self.errors.append(line.decode(errors="replace"))


@contextmanager
def reading() -> Iterator[tuple[LogReader, int]]:
    """Yield a reader, and the descriptor that the daemon logs to."""
    read, write = os.pipe()
    reader = LogReader(read)
    thread = threading.Thread(target=reader.run, daemon=True)
    thread.start()
    try:
        yield reader, write
    finally:
        reader.reading.set()
        os.close(write)
        thread.join()
        os.close(read)

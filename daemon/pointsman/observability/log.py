"""Log JSON lines, without prompts and keys. Whatever happens to the reader of the log, no call waits or fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from pointsman.observability.log_line import Level, Line, LineEncoder, cut, known, stamp
from pointsman.observability.record import Record, request_line
from pointsman.store.line_writer import LineWriter

_SEVERITY = {"debug": 10, "info": 20, "warning": 30, "error": 40}
# Lines of requests are held for this long, or until MAX_HELD_LINES wait, so that one system call writes several.
HELD_SECONDS = 0.05
MAX_HELD_LINES = 256
MAX_FIELD_BYTES = 8 * 2**10
# Lines of about 12,000 requests, for who asks for one by its id.
MAX_NEWEST_BYTES = 8 * 2**20
JOURNAL = "journal"
# What the reader of the log has not taken this long after the end of the service is lost.
CLOSE_SECONDS = 1.0


class Sink(Protocol):
    """The destination of encoded lines."""

    @property
    def dropped(self) -> int:
        """The number of lines dropped so far."""

    def put(self, data: bytes, *, requests: bool = False) -> object:
        """Take whole lines, of requests or not, without waiting."""


class Log:
    """A log of lines in a sink. Only the thread that made it writes lines of requests; any may write others."""

    def __init__(
        self, level: str, sink: Sink, encoder: LineEncoder | None = None, *, location: str | None = None
    ) -> None:
        self.set_level(level)
        self.location = location
        """The place where an operator reads the log: JOURNAL, the path of a file, or None if unknown."""
        self._sink = sink
        self._encoder = encoder or LineEncoder()
        self._pending: list[Record] = []
        self._due: asyncio.TimerHandle | None = None  # while lines are held
        self._newest: deque[bytes] = deque()
        self._newest_bytes = 0
        self._thread = threading.get_ident()

    @property
    def dropped(self) -> int:
        """The number of lines dropped so far, because they were not written in time."""
        return self._sink.dropped

    def set_level(self, level: str) -> None:
        """Set the least severe level to write."""
        self._min_severity = _SEVERITY[level]

    def writes(self, level: Level) -> bool:
        """Return whether lines of a level are written."""
        return _SEVERITY[level] >= self._min_severity

    def write(self, level: Level, event: str, **fields: Any) -> None:
        """Write one line; fields that are None are omitted, long texts are cut."""
        if line := self.encoded(level, event, fields):
            if threading.get_ident() == self._thread:
                self.flush()
            self._sink.put(line)

    def encoded(self, level: Level, event: str, fields: Line) -> bytes:
        """Return the line that `write` would write, empty if its level is not written."""
        if not self.writes(level):
            return b""
        line = {"ts": stamp(time.time()), "level": level, "event": event, **known(fields)}
        for name, value in fields.items():
            if isinstance(value, str):
                line[name] = cut(value, MAX_FIELD_BYTES)
        return self._encoder.encode(line)

    def soon(self, record: Record) -> None:
        """Write the line of a request that has ended, which has level info, within HELD_SECONDS.

        Lines that are made together take less time than each at the end of its request.
        """
        if not self.writes("info"):
            return
        self._pending.append(record)
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(HELD_SECONDS, self.flush)
        elif len(self._pending) >= MAX_HELD_LINES:
            self.flush()

    def flush(self) -> None:
        """Pass on all held lines."""
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if self._pending:
            pending, self._pending = self._pending, []
            lines = self._encoder.encode_info(list(map(request_line, pending)))
            self._sink.put(lines, requests=True)
            self._keep(lines)

    def requests(self) -> list[bytes]:
        """Return the newest lines of requests, the oldest first, several in each part; at most MAX_NEWEST_BYTES."""
        self.flush()
        return list(self._newest)

    def _keep(self, lines: bytes) -> None:
        self._newest.append(lines)
        self._newest_bytes += len(lines)
        while self._newest_bytes > MAX_NEWEST_BYTES:
            self._newest_bytes -= len(self._newest.popleft())


@contextlib.contextmanager
def stderr_log(level: str, *, journal: bool) -> Iterator[Log]:
    """Return a log to stderr, the journal or not; at the end it waits at most CLOSE_SECONDS for unwritten lines."""
    # Without a stderr its number may belong to any file or connection.
    file = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC) if sys.stderr is None else sys.stderr.fileno()

    def lost(lines: int, error: str | None) -> bytes:
        message = f"{lines} lines dropped: stderr was not read, or could not be written"
        return log.encoded("warning", "log", {"message": message, "dropped": lines, "error": error})

    writer = LineWriter(file, "log", lost)
    log = Log(level, writer, LineEncoder(journal=journal), location=JOURNAL if journal else _path_of(file))
    try:
        yield log
    finally:
        log.flush()
        writer.close(CLOSE_SECONDS)


def _path_of(file: int) -> str | None:
    """Return the path of an open regular file, or None."""
    try:
        path = Path(f"/proc/self/fd/{file}").readlink()
        return str(path) if path.is_file() else None
    except OSError:
        return None

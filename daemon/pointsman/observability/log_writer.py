"""Write the log from a thread of its own, so that no reader and no disk can hold the service up.

Rules:
1. Nobody who logs ever waits. What does not fit into the queue is dropped and counted; a part of the queue is kept for
   lines that are not requests'.
2. The order is kept, and what was begun is continued at the byte where it stopped: no line is torn, whatever fails.
3. A write that fails is repeated until it succeeds: a disk has space again, a pipe is read again.
4. Once there is room again, a line says how many lines were dropped.
5. `close` waits a bounded time. The thread is a daemon thread: one that hangs in write(2) does not hold up the exit.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque

from pointsman.observability.log_line import LineEncoder, known, stamp

QUEUE_BYTES = 4 * 2**20
# Lines of requests leave the rest of the queue to the others, which say why requests fail.
REQUESTS_BYTES = 3 * 2**20
# One write takes about this much, so that a slow reader makes room step by step.
WRITE_BYTES = 64 * 2**10
FIRST_PAUSE_SECONDS = 0.01
LONGEST_PAUSE_SECONDS = 0.25


class LogWriter:
    """A bounded queue of encoded lines, and the thread that writes them to a file descriptor."""

    def __init__(self, file: int, encoder: LineEncoder) -> None:
        """`encoder` encodes the writer's own line about dropped ones."""
        self._file = file
        self._encoder = encoder
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._size = 0
        """Bytes in the queue and in the write that is in progress."""
        self._closing = False
        self._untold = 0
        """Lines dropped since the log last told of dropped ones."""
        self._error: str | None = None
        self.dropped = 0
        """Lines dropped so far."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def put(self, data: bytes, *, requests: bool = False) -> None:
        """Queue whole lines, or drop them all; `requests`: they are lines of requests."""
        with self._changed:
            if self._size + len(data) > (REQUESTS_BYTES if requests else QUEUE_BYTES):
                lines = data.count(b"\n")
                self.dropped += lines
                self._untold += lines
                return
            self._tell_dropped()
            self._push(data)
            self._changed.notify()

    def close(self, seconds: float) -> None:
        """Write what is queued, for at most so many seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(seconds)

    def _push(self, data: bytes) -> None:
        self._queue.append(data)
        self._size += len(data)

    def _tell_dropped(self) -> None:
        if not self._untold:
            return
        line = {
            "ts": stamp(),
            "level": "warning",
            "event": "log",
            "message": f"{self._untold} lines dropped: stderr was not read, or could not be written",
            "dropped": self._untold,
            "error": self._error,
        }
        self._untold, self._error = 0, None
        self._push(self._encoder.encode(known(line)))

    def _run(self) -> None:
        while data := self._take():
            self._write(data)
            with self._changed:
                self._size -= len(data)

    def _take(self) -> bytes:
        """Wait for lines and return the next; empty once the log is closed and everything is written."""
        with self._changed:
            while not self._queue:
                self._tell_dropped()
                if self._queue or self._closing:
                    break
                self._changed.wait()
            taken, size = [], 0
            while self._queue and size < WRITE_BYTES:
                taken.append(self._queue.popleft())
                size += len(taken[-1])
            return b"".join(taken)

    def _write(self, data: bytes) -> None:
        left, pause = memoryview(data), FIRST_PAUSE_SECONDS
        while left:
            try:
                left = left[os.write(self._file, left) :]
                pause = FIRST_PAUSE_SECONDS
            except OSError as error:
                self._error = error.strerror
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

"""Write lines to a file from a thread of its own, so that no reader and no disk can delay the service.

Rules:
1. Writers never wait. Lines that do not fit into the queue are dropped and counted; a part of the queue is reserved for
   lines that are not requests'.
2. The order is preserved, and an interrupted write continues at the byte where it stopped: no line is torn, whatever
   fails.
3. A write that fails is repeated until it succeeds: a disk has space again, a pipe is read again.
4. Once there is room again, `lost` gets the number of dropped lines.
5. `close` waits a bounded time, then gives up a write that fails. The thread is a daemon thread: one that hangs in
   write(2) does not delay the exit.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections import deque
from collections.abc import Callable

QUEUE_BYTES = 4 * 2**20
# Lines of requests leave the other part of the queue to lines that say why requests fail.
REQUESTS_BYTES = 3 * 2**20
# One write takes about this much, so that a slow reader makes room step by step.
WRITE_BYTES = 64 * 2**10
FIRST_PAUSE_SECONDS = 0.01
MAX_PAUSE_SECONDS = 0.25


Lost = Callable[[int, str | None], bytes]
"""A callback with the number of dropped lines and the latest error, if any; returns lines to write for them."""


class LineWriter:
    """A bounded queue of encoded lines, and the thread that writes them to a file descriptor."""

    def __init__(
        self,
        file: int,
        name: str,
        lost: Lost,
        failing: Callable[[str], object] = lambda _: None,
        make_room: Callable[[int], object] = lambda _: None,
        prepare: Callable[[bytes], bytes] = lambda data: data,
        written: Callable[[], object] = lambda: None,
    ) -> None:
        """Take `failing`, called in the thread, named `name`, with the first error of a write that is repeated.

        `make_room` is called there before whole lines are written, with their size; if it raises OSError, they are not
        written. `prepare` is called there with whole lines, and returns those to write; `written` is called once they
        are. `lost` is called in any thread; none of them may use this writer.
        """
        self._file = file
        self._lost = lost
        self._failing = failing
        self._make_room = make_room
        self._prepare = prepare
        self._written = written
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._size = 0
        """Bytes in the queue and in the write that is in progress."""
        self._closing = False
        self._until = math.inf
        """The time at which failing writes are given up, by the monotonic clock."""
        self._unreported = 0
        """Lines dropped since `lost` was last called."""
        self._error: str | None = None
        self.dropped = 0
        """Lines dropped so far."""
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, data: bytes, *, requests: bool = False) -> bool:
        """Queue whole lines, or drop them all and return False; `requests`: they are lines of requests."""
        with self._changed:
            if self._size + len(data) > (REQUESTS_BYTES if requests else QUEUE_BYTES):
                lines = data.count(b"\n")
                self.dropped += lines
                self._unreported += lines
                return False
            self._report_dropped()
            self._push(data)
            self._changed.notify()
            return True

    def close(self, seconds: float) -> bool:
        """Write everything queued, for at most this many seconds; return whether the file is no longer in use."""
        with self._changed:
            self._closing = True
            self._until = time.monotonic() + seconds
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _push(self, data: bytes) -> None:
        self._queue.append(data)
        self._size += len(data)

    def _report_dropped(self) -> None:
        if self._unreported:
            report = self._lost(self._unreported, self._error)
            self._unreported, self._error = 0, None
            if report:
                self._push(report)

    def _run(self) -> None:
        while data := self._take():
            self._write(self._prepare(data))
            with self._changed:
                self._size -= len(data)

    def _take(self) -> bytes:
        """Wait for lines and return the next; empty once the writer is closed and everything is written."""
        with self._changed:
            while not self._queue:
                self._report_dropped()
                if self._queue or self._closing:
                    break
                self._changed.wait()
            taken, size = [], 0
            while self._queue and size < WRITE_BYTES:
                taken.append(self._queue.popleft())
                size += len(taken[-1])
            return b"".join(taken)

    def _write(self, data: bytes) -> None:
        left, pause, failing = memoryview(data), FIRST_PAUSE_SECONDS, False
        while left:
            try:
                if len(left) == len(data):
                    self._make_room(len(data))
                left = left[os.write(self._file, left) :]
                pause = FIRST_PAUSE_SECONDS
            except OSError as error:
                if time.monotonic() >= self._until:
                    return
                self._error = str(error.strerror)
                if not failing:
                    failing = True
                    self._failing(self._error)
                time.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
        self._written()

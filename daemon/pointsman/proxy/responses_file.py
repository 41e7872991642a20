"""Store the owners of the stored responses in a file, for the next start. No request waits for it.

The first line is a snapshot, each further line an entry that came later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Literal, TypeAlias, cast

import msgspec

from pointsman import daemon_thread
from pointsman.proxy.stored_responses import ENTRIES, StoredResponse, StoredResponses
from pointsman.store.rows_file import RowsFile

NAME = "responses.json"
MAX_FILE_BYTES = 16 * 2**20
# Minimum seconds between two writes; a crash loses the entries since the last one.
PAUSE_SECONDS = 1.0
# After this many added lines a new snapshot is written, so each entry is written twice on average.
MAX_ADDED_LINES = ENTRIES
LOST = "responses stored before this start are not found"


class _Snapshot(msgspec.Struct):
    version: Literal[1]
    responses: list[StoredResponse]


_Row: TypeAlias = _Snapshot | StoredResponse


class ResponsesFile:
    """The file of `responses` in a state directory; only its owner can read it."""

    def __init__(self, folder: Path, responses: StoredResponses) -> None:
        self._file = RowsFile(folder / NAME, cast("type[_Row]", _Row), MAX_FILE_BYTES)
        self._responses = responses
        self._changed = asyncio.Event()
        self._new: list[StoredResponse] = []
        """The entries since the last write."""
        self._room = 0
        """Lines that may be added to the file before a new snapshot; 0 for a file that this process did not write."""
        self._writing: Future[None] | None = None
        responses.on_add = self._added

    def load(self) -> str | None:
        """Restore the entries from the file; return a message for the operator if not all can be read."""
        try:
            rows = self._file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{self._file.path} cannot be read ({error.strerror}): {LOST}"
        first, *added = rows or [None]
        if not isinstance(first, _Snapshot):
            return f"{self._file.path} cannot be read (its first line is no snapshot): {LOST}"
        self._responses.restore([*first.responses, *(row for row in added if isinstance(row, StoredResponse))])
        unreadable = added[:-1].count(None)  # a crash may have cut off the last
        if not unreadable:
            return None
        return f"{self._file.path} has {unreadable:,} lines that cannot be read: their responses are not found"

    async def run(self) -> None:
        """Write the file whenever a response was stored; raises OSError."""
        while True:
            await self._changed.wait()
            await self.save()
            await asyncio.sleep(PAUSE_SECONDS)

    async def save(self) -> None:
        """Write the new entries to the file; raises OSError."""
        if self._writing is not None and not self._writing.done():  # for another caller
            with contextlib.suppress(OSError):
                await asyncio.wrap_future(self._writing)
        if not self._changed.is_set():
            return
        self._changed.clear()
        # A disk that hangs must not keep the process from ending.
        self._writing = daemon_thread.start(self._next_write(), "responses")
        try:
            await asyncio.wrap_future(self._writing)
        except BaseException:  # also on cancellation
            self._room = 0
            self._changed.set()
            raise

    def _added(self, entry: StoredResponse) -> None:
        self._changed.set()
        if self._room:
            self._room -= 1
            self._new.append(entry)

    def _next_write(self) -> Callable[[], None]:
        """Return a function that updates the file: by the new lines or if no room is left, by a snapshot."""
        new, self._new = self._new, []
        if self._room:
            return lambda: self._add(new)
        self._room = MAX_ADDED_LINES
        snapshot = _Snapshot(1, self._responses.entries())
        return lambda: self._file.replace([snapshot])

    def _add(self, entries: list[StoredResponse]) -> None:
        """Add lines; raises OSError, also if the file is gone. Only a crash of the host could lose them."""
        self._file.path.stat()
        self._file.append(entries, sync=False)

"""Store the owners of the stored responses in a file, for the next start. No request waits for it.

The first line is a snapshot, each further line an entry that came later.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

import msgspec

from pointsman import daemon_thread, files
from pointsman.proxy.stored_responses import ENTRIES, StoredResponse, StoredResponses

NAME = "responses.json"
MAX_FILE_BYTES = 16 * 2**20
# Minimum seconds between two writes; a crash loses the entries since the last one.
PAUSE_SECONDS = 1.0
# After this many added lines a new snapshot is written, so each entry is written twice on average.
MAX_ADDED_LINES = ENTRIES


class _Snapshot(msgspec.Struct):
    version: Literal[1]
    responses: list[StoredResponse]


class ResponsesFile:
    """The file of `responses` in a state directory; only its owner can read it."""

    def __init__(self, folder: Path, responses: StoredResponses) -> None:
        self._path = folder / NAME
        self._responses = responses
        self._changed = asyncio.Event()
        self._new: list[StoredResponse] = []
        """The entries since the last write."""
        self._room = 0
        """Lines that may be added to the file before a new snapshot; 0 for a file that this process did not write."""
        self._writing: Future[None] | None = None
        responses.on_add = self._added

    def load(self) -> str | None:
        """Restore the entries from the file; return a message for the operator if it cannot be used."""
        try:
            entries = _entries(files.read(self._path, MAX_FILE_BYTES))
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            why = str(error)
        else:
            self._responses.restore(entries)
            return None
        return f"{self._path} cannot be read ({why}): responses stored before this start are not found"

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
        entries = self._responses.entries()
        return lambda: self._write(entries)

    def _write(self, entries: list[StoredResponse]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.encode(_Snapshot(1, entries)) + b"\n"
        files.write(self._path, content, replace=True, mode=0o600)

    def _add(self, entries: list[StoredResponse]) -> None:
        """Add lines; raises OSError, also if the file is gone. Only a crash of the host could lose them."""
        with open(self._path, "ab", opener=_existing) as file:
            file.write(b"".join([msgspec.json.encode(entry) + b"\n" for entry in entries]))


def _existing(path: str, _: int) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)


def _entries(content: bytes) -> list[StoredResponse]:
    """Return the entries of a file, without a last line that a crash truncated; raises MsgspecError."""
    first, *added = content.split(b"\n")
    entries = msgspec.json.decode(first, type=_Snapshot).responses
    return entries + [msgspec.json.decode(line, type=StoredResponse) for line in added[:-1]]

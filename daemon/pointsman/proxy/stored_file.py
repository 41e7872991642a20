"""Keep in a file whose the stored responses are, for the next start. No request waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future
from pathlib import Path
from typing import Literal

import msgspec

from pointsman import daemon_thread, files
from pointsman.proxy.stored_responses import Entry, StoredResponses

NAME = "responses.json"
LARGEST_BYTES = 16 * 2**20
# The whole file is written at most so often; a crash forgets what was stored since.
PAUSE_SECONDS = 10.0


class _Content(msgspec.Struct):
    version: Literal[1]
    responses: list[Entry]


class StoredFile:
    """The file of `responses` in a state directory; only its owner can read it."""

    def __init__(self, folder: Path, responses: StoredResponses) -> None:
        self._path = folder / NAME
        self._responses = responses
        self._changed = asyncio.Event()
        self._writing: Future[None] | None = None
        responses.on_add = self._changed.set

    def load(self) -> str | None:
        """Restore what the file says; return a message for the operator if it cannot be used."""
        try:
            content = msgspec.json.decode(files.read(self._path, LARGEST_BYTES), type=_Content)
        except FileNotFoundError:
            return None
        except OSError as error:
            why = error.strerror
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            why = str(error)
        else:
            self._responses.restore(content.responses)
            return None
        return f"{self._path} cannot be read ({why}): responses stored before this start are not found"

    async def run(self) -> None:
        """Write the file whenever something was stored; raises OSError."""
        while True:
            await self._changed.wait()
            await self.save()
            await asyncio.sleep(PAUSE_SECONDS)

    async def save(self) -> None:
        """Write the file if something was stored since; raises OSError."""
        if self._writing is not None and not self._writing.done():  # for another caller
            with contextlib.suppress(OSError):
                await asyncio.wrap_future(self._writing)
        if not self._changed.is_set():
            return
        self._changed.clear()
        entries = self._responses.entries()
        # A disk that hangs must not keep the process from ending.
        self._writing = daemon_thread.start(lambda: self._write(entries), "responses")
        try:
            await asyncio.wrap_future(self._writing)
        except BaseException:  # also on cancellation
            self._changed.set()
            raise

    def _write(self, entries: list[Entry]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        content = msgspec.json.encode(_Content(1, entries))
        files.write(self._path, content, replace=True, mode=0o600)

"""Preserve the owners of stored responses across restarts, if there is a state directory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from pointsman import files
from pointsman.app.supervisor import Supervisor
from pointsman.observability.log import Log
from pointsman.proxy.stored_file import StoredFile
from pointsman.proxy.stored_responses import StoredResponses

# Time for the last write. A disk that hangs does not delay the exit.
CLOSE_SECONDS = 2.0


@contextlib.asynccontextmanager
async def saved_responses(responses: StoredResponses, supervisor: Supervisor, log: Log) -> AsyncIterator[None]:
    """Restore the responses of an earlier process, and update the file until the end."""
    folder = files.state_directory()
    if folder is None:
        yield
        return
    file = StoredFile(folder, responses)
    if (trouble := file.load()) is not None:
        log.write("warning", "stored_responses", message=trouble)
    supervisor.start("stored_responses", file.run)
    try:
        yield
    finally:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await file.save()
        except (OSError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or f"it took longer than {CLOSE_SECONDS:g} s"
            log.write("warning", "stored_responses", message=f"the last responses were not stored: {why}")

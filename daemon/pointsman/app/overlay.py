"""Keep what commands and the service decide beside the config, across reloads and restarts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pointsman import daemon_thread, files
from pointsman.app.generations import Generations
from pointsman.config import overlay
from pointsman.config.overlay import Overlay
from pointsman.observability.log_line import Level

# A disk that hangs holds no command up for longer.
WRITE_S = 5.0


class OverlayKeeper:
    """Apply a change at once, and keep it in a file; one change at a time."""

    def __init__(self, folder: Path | None, generations: Generations) -> None:
        """Apply what an earlier process decided."""
        self._folder = folder
        self._generations = generations
        self._lock = asyncio.Lock()
        self._disk = threading.Lock()
        found, trouble = overlay.read(folder)
        self.trouble = trouble
        """Why the last reading or writing failed, None if it did not."""
        if trouble is not None:
            generations.log.write("error", "overlay", message=trouble)
        generations.use(found)

    @property
    def current(self) -> Overlay:
        return self._generations.overlay

    async def change(self, edit: Callable[[Overlay], Overlay], by: str) -> None:
        """Apply an edit at once, then write it; `trouble` tells whether it will be forgotten by a restart."""
        async with self._lock:
            before, after = self.current, edit(self.current)
            self._generations.use(after)
            self.trouble = await self._written()
            changed = {"from": overlay.shown(before), "to": overlay.shown(after)}
            level: Level = "info" if self.trouble is None else "warning"
            self._generations.log.write(level, "overlay", by=by, **changed, message=self.trouble)

    async def _written(self) -> str | None:
        if self._folder is None:
            return "there is no state directory ($STATE_DIRECTORY), so a restart forgets it"
        path = self._folder / overlay.NAME
        writing = daemon_thread.start(lambda: self._write(path), "overlay")
        try:
            await asyncio.wait_for(asyncio.wrap_future(writing), WRITE_S)
        except (OSError, TimeoutError) as error:
            why = getattr(error, "strerror", None) or f"it took longer than {WRITE_S:g} s"
            return f"{path} cannot be written ({why}), so a restart forgets it"
        return None

    def describe(self) -> dict[str, Any]:
        """Return the overlay for `GET /overlay`."""
        return {"overlay": overlay.shown(self.current), "yaml": overlay.as_yaml(self.current), "trouble": self.trouble}

    def _write(self, path: Path) -> None:
        """Write what holds by now: a write that hung must not bring back what has changed since."""
        with self._disk:
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, overlay.encode(self.current), replace=True, mode=0o600)

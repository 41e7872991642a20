"""Store what commands and the service decide in addition to the config, across reloads and restarts."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import msgspec

from pointsman import daemon_thread
from pointsman.app.generations import Generations
from pointsman.config import overlay
from pointsman.config.overlay import Boot, Overlay, Override
from pointsman.config.rolled_back import RolledBack
from pointsman.observability.log_line import Level
from pointsman.store import document

# A disk that hangs delays no command for longer.
WRITE_SECONDS = 5.0
# Seconds until a changed clock is noticed while a mode has an end.
LOOK_SECONDS = 1.0


class OverlayStore:
    """A store of the overlay, which applies a change at once and writes it to a file; one change at a time."""

    def __init__(
        self,
        folder: Path | None,
        generations: Generations,
        now: Callable[[], float] = time.time,
        boot: Callable[[], Boot | None] = overlay.boot,
    ) -> None:
        """Apply the decisions of an earlier process; `now` returns the time of day, `boot` the host's uptime."""
        self._folder = folder
        self._generations = generations
        self._now = now
        self._boot = boot
        self._ends = math.inf
        """The end of the mode by the event loop's clock, which nobody sets."""
        self._lock = asyncio.Lock()
        self._disk = threading.Lock()
        found, trouble = overlay.read(folder, now(), boot())
        self.trouble = trouble
        """The reason why the last reading or writing failed, or None."""
        if trouble is not None:
            generations.log.write("error", "overlay", message=trouble)
        self._use(found)
        generations.canary_monitor.roll_back = self._roll_back
        generations.metrics.watch_modes(
            "routing_mode_until_timestamp_seconds",
            "When the mode ends that a command has set; infinite without an end.",
            self._until,
        )
        doc = "1 while the service has rolled back the category's canary."
        generations.metrics.watch_categories("canary_rolled_back", doc, self._rolled_back)
        self._tasks: set[asyncio.Task[None]] = set()
        if folder is not None and trouble is None:
            timed = overlay.read_timed(folder)[0]
            if timed != found.timed:
                self._ended_or_moved(overlay.with_timed(found, timed))

    @property
    def current(self) -> Overlay:
        return self._generations.overlay

    async def change(self, edit: Callable[[Overlay], Overlay], by: str) -> None:
        """Apply an edit at once, then write it; `trouble` tells whether a restart will lose the edit."""
        async with self._lock:
            before, after = self.current, edit(self.current)
            self._use(after)
            await self._keep(before, after, by)

    async def set_mode(self, mode: Override | None, seconds: int | None) -> None:
        """Set another mode than the config's, or none (None), for this many seconds, or without an end (None)."""
        await self.change(lambda now: overlay.with_mode(now, mode, seconds, self._now(), self._boot()), by="mode")

    async def watch(self) -> None:
        """End a mode when its time is over by the time of day, or by a clock that nobody sets if that is sooner.

        So a changed clock never extends a mode beyond its duration.
        """
        while True:
            pause = self._look()
            await asyncio.sleep(pause)

    def _look(self) -> float:
        """End the mode if it is time, and return the seconds until the next look."""
        before, timed = self.current, self.current.timed
        if timed is None:
            return LOOK_SECONDS
        now = self._now()
        left = min(self._ends - asyncio.get_running_loop().time(), timed.left(now, self._boot()))
        if left > 0 and timed.until - now <= left + overlay.CLOCK_SECONDS:
            return min(left, LOOK_SECONDS)
        after = None if left <= 0 else msgspec.structs.replace(timed, until=now + left)
        self._generations.use(overlay.with_timed(before, after))
        self._ended_or_moved(before)
        return LOOK_SECONDS if after is None else min(left, LOOK_SECONDS)

    def _ended_or_moved(self, before: Overlay) -> None:
        """Store that a mode has ended, or ends at another time; in a task, as a disk that hangs stops nothing."""
        by = "clock" if self.current.timed else "end of the mode"
        self._spawn(self._keep_in_turn(before, self.current, by))

    async def _keep_in_turn(self, before: Overlay, after: Overlay, by: str) -> None:
        async with self._lock:
            if overlay.shown(before) == overlay.shown(after):  # the only change is a restart of the host
                self.trouble = await self._written()
            else:
                await self._keep(before, after, by)

    async def _keep(self, before: Overlay, after: Overlay, by: str) -> None:
        """Write the present overlay, and log a change."""
        self.trouble = await self._written()
        changed = {"from": overlay.shown(before), "to": overlay.shown(after)}
        level: Level = "info" if self.trouble is None else "warning"
        self._generations.log.write(level, "overlay", by=by, **changed, message=self.trouble)

    def _use(self, found: Overlay) -> None:
        if found.timed is not None and found.timed is not self._generations.overlay.timed:
            self._ends = asyncio.get_running_loop().time() + found.timed.left(self._now(), self._boot())
        self._generations.use(found)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _until(self) -> dict[str, float]:
        """Return the end of a command's mode, by mode; empty if the config's mode applies."""
        now = self.current
        if now.mode_now is None:
            return {}
        return {now.mode_now: math.inf if now.timed is None else now.timed.until}

    def _roll_back(self, category: str, adapter: str, why: str) -> None:
        """Roll back a canary that left its bounds: at once, and for later starts."""
        decided = overlay.CanaryOutcome(
            adapter=adapter, state="rolled_back", by="service", at=int(time.time()), why=why
        )
        self._generations.use(overlay.with_canary(self.current, category, decided))
        self._spawn(self._save_rollback(category, adapter, why))

    async def _save_rollback(self, category: str, adapter: str, why: str) -> None:
        async with self._lock:
            self.trouble = await self._written()
        fields = {"category": category, "adapter": adapter, "state": "rolled_back", "message": why}
        self._generations.log.write("warning", "canary", **fields, error=self.trouble)

    def _rolled_back(self) -> dict[str, float]:
        """Return for each canary whether the service, not a command, has rolled it back."""
        return {one["category"]: (one["state"], one["by"]) == ("rolled_back", "service") for one in self.canaries()}

    def keep_rollback(self, config: RolledBack | None) -> None:
        """Keep which config is served in place of the file, None once a changed file has ended that."""
        if config != self.current.config:
            self._spawn(self.change(lambda now: msgspec.structs.replace(now, config=config), by="changed file"))

    def forget_trial(self, category: str) -> None:
        """Let a canary that is on trial be judged by what comes after the next change."""
        self._generations.canary_monitor.forget(category)

    async def keep_adapters(self) -> None:
        """Store the data by which adapters unloaded by hand can be loaded again; drop the oldest."""
        known = list(self._generations.unloaded.items())[-overlay.MAX_ADAPTERS :]
        if dict(known) != self.current.adapters:
            await self.change(lambda now: msgspec.structs.replace(now, adapters=dict(known)), by="adapters unload")

    def canaries(self) -> list[dict[str, Any]]:
        """Return the canaries of the config, with their present shares and decisions."""
        generations = self._generations
        now = generations.current.backend.router.routing.categories
        found = []
        for name, one in generations.current.config.pointsman.routing.categories.items():
            if one.canary is None:
                continue
            decided = self.current.canaries.get(name)
            holds = decided is not None and decided.adapter == one.canary.adapter
            current = now[name].canary
            found.append(
                {
                    "category": name,
                    "adapter": one.canary.adapter,
                    "percent": one.canary.percent if current is None else current.percent,
                    "state": decided.state if holds and decided is not None else "trial",
                    "by": decided.by if holds and decided is not None else None,
                    "why": decided.why if holds and decided is not None else None,
                    "conversations": generations.canary_monitor.counts(name),
                }
            )
        return found

    async def _written(self) -> str | None:
        if self._folder is None:
            return "there is no state directory ($STATE_DIRECTORY), so a restart forgets it"
        path = self._folder / overlay.NAME
        try:
            await daemon_thread.run(lambda: self._write(path), "overlay", WRITE_SECONDS)
        except OSError as error:
            return f"{path} cannot be written ({error.strerror}), so a restart forgets it"
        return None

    def describe(self) -> dict[str, Any]:
        """Return the overlay for `GET /overlay`."""
        return {"overlay": overlay.shown(self.current), "yaml": overlay.as_yaml(self.current), "trouble": self.trouble}

    def _write(self, path: Path) -> None:
        """Write the present overlay: a write that hung must not bring back an older one."""
        with self._disk:
            found, timed = self.current, path.with_name(overlay.TIMED_NAME)
            document.write(path, overlay.encode(found))
            if found.timed is None:
                timed.unlink(missing_ok=True)
            else:
                document.write(timed, overlay.encode_timed(found.timed))

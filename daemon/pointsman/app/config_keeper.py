"""Keep each config that is applied, and serve an earlier one in place of the file's, which is never written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

from pointsman.app.overlay import WRITE_S, OverlayKeeper
from pointsman.app.prepare import Prepared
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.config.kept_configs import KeptConfig, digest, keep, kept
from pointsman.config.load import content
from pointsman.config.overlay import Pin
from pointsman.daemon_thread import OneThread
from pointsman.errors import ConfigError, RequestError
from pointsman.observability.log import Log
from pointsman.server.response import Response, json_response

T = TypeVar("T")
NOWHERE = "there is no state directory ($STATE_DIRECTORY), so no config is kept"


class ConfigKeeper:
    """Keep what the reloader applies, and roll it back; one change at a time."""

    def __init__(self, source: ConfigSource, reloader: Reloader, overlay: OverlayKeeper, log: Log) -> None:
        self._source = source
        self._reloader = reloader
        self._overlay = overlay
        self._log = log
        self._trouble: str | None = None
        self._lock = asyncio.Lock()
        self._disk = OneThread("configs")  # which may hang
        self._tasks: set[asyncio.Task[Any]] = set()
        reloader.applied = self.applied

    def applied(self, served: Prepared) -> None:
        """Keep the file's config, and end a rollback that its change has overtaken."""
        if served.pin is None:
            self._begin(self._keep(served.content))

    async def listed(self) -> Response:
        """Return the kept configs; raises RequestError."""
        return json_response(await self._described())

    async def roll_back(self, number: int | None) -> Response:
        """Serve a kept config until the file changes, by default the one before that in use; raises RequestError."""
        return await asyncio.shield(self._begin(self._rolled_back(number)))

    async def follow(self) -> Response:
        """Serve the file's config again."""
        return await asyncio.shield(self._begin(self._followed()))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a change to its end, also for a client that has left."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _keep(self, applied: bytes) -> None:
        async with self._lock:
            trouble = await self._kept_now(applied)
            if trouble is not None and trouble != self._trouble:
                self._log.write("warning", "config", message=trouble)
            self._trouble = trouble
            serving, pin = self._reloader.serving, self._source.pin
            if pin is not None and serving.pin is None and pin.over != digest(serving.content):
                self._source.pin = None
                await self._overlay.change(lambda now: msgspec.structs.replace(now, config=None), by="changed file")

    async def _kept_now(self, applied: bytes) -> str | None:
        """Keep a config; return why that failed, if it did."""
        state = self._source.state
        if state is None:
            return None
        try:
            await self._disk.run(lambda: keep(state, applied, time.time()), WRITE_S)
        except (OSError, TimeoutError) as error:
            return f"the config cannot be kept for `pointsman config rollback`: {_why(error)}"
        return None

    async def _rolled_back(self, number: int | None) -> Response:
        async with self._lock:
            found = await self._kept()
            one = _chosen(found, number, digest(self._reloader.serving.content))
            try:
                over = digest(await self._disk.run(lambda: content(self._source.path), WRITE_S))
            except (ConfigError, TimeoutError) as error:
                raise _refused(
                    f"{_why(error)}; a rollback holds until the file changes, and so has to read it"
                ) from None
            if over == one.sha256:
                message = "this is the config of the file: `pointsman config follow` serves it"
                raise RequestError(message, status=HTTPStatus.CONFLICT, code="config_of_the_file")
            return await self._turn(Pin(sha256=one.sha256, at=one.at, over=over), "rollback")

    async def _followed(self) -> Response:
        async with self._lock:
            return await self._turn(None, "follow")

    async def _turn(self, pin: Pin | None, command: str) -> Response:
        """Serve what a pin says, and keep it; where that config cannot be served, nothing has changed."""
        before, self._source.pin = self._source.pin, pin
        outcome = await asyncio.shield(self._reloader.ask(command))
        if outcome.error is not None:
            self._source.pin = before
            return outcome.response()
        await self._overlay.change(lambda now: msgspec.structs.replace(now, config=pin), by=f"config {command}")
        described = await self._described()
        return json_response(outcome.fields() | described | {"trouble": described["trouble"] or self._overlay.trouble})

    async def _kept(self) -> list[KeptConfig]:
        state = self._source.state
        if state is None:
            raise _refused(NOWHERE)
        try:
            return await self._disk.run(lambda: kept(state), WRITE_S)
        except (OSError, TimeoutError) as error:
            raise _refused(f"the kept configs cannot be read: {_why(error)}") from error

    async def _described(self) -> dict[str, Any]:
        serving = self._reloader.serving
        sha256 = digest(serving.content)
        return {
            "configs": [
                {"number": i, "at": one.at, "sha256": one.sha256, "file": str(one.path), "in_use": one.sha256 == sha256}
                for i, one in enumerate(await self._kept())
            ],
            "rolled_back": None if serving.pin is None else msgspec.to_builtins(serving.pin),
            "trouble": self._trouble,
        }


def _chosen(found: list[KeptConfig], number: int | None, serving: str) -> KeptConfig:
    """Return the config of a number, by default the one before that in use; raises RequestError."""
    if number is None:
        number = 1 + next((i for i, one in enumerate(found) if one.sha256 == serving), 0)
    if number < len(found):
        return found[number]
    message = f"there is no kept config {number}; {len(found)} are kept, see `pointsman config list`"
    raise RequestError(message, status=HTTPStatus.NOT_FOUND, code="no_such_config")


def _refused(message: str) -> RequestError:
    return RequestError(message, status=HTTPStatus.CONFLICT, code="config_not_kept")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"it took longer than {WRITE_S:g} s"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}"
    return str(error)

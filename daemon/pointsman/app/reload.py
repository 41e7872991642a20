"""A changed config is taken in while requests go on: read and checked beside the old one, then swapped at once."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Literal

from pointsman.app.generations import Generations
from pointsman.app.prepare import Prepared, prepare, refuse_loops
from pointsman.app.systemd import Notifier
from pointsman.classify.artifact import MODEL
from pointsman.classify.classifier import Classifier
from pointsman.config.changes import Change, changes
from pointsman.errors import CannotStart, ConfigError, error_body
from pointsman.observability.log import Level
from pointsman.server.messages import Request, Response, json_response

WATCH_S = 1.0

Stamp = tuple[int, int, int, int]
"""Device, inode, size, and time of the last change in nanoseconds."""


class ConfigSource:
    """Where the config comes from, and what the command line puts in the place of its values, as for `prepare`."""

    def __init__(self, path: Path, vllm: str | None = None, log_level: Level | None = None) -> None:
        self._path = path
        self._vllm = vllm
        self._log_level = log_level
        self._seen: Stamp | None = None

    def prepare(self, previous: Prepared | None = None) -> Prepared:
        """Read it; raises CannotStart."""
        self._seen = self._stamp()
        return prepare(self._path, previous, vllm=self._vllm, log_level=self._log_level)

    def news(self) -> Stamp | None:
        """The file's stamp if it is there and is not what was last read."""
        stamp = self._stamp()
        return None if stamp == self._seen else stamp

    def _stamp(self) -> Stamp | None:
        """Another one once the file has changed, or another took its place; None while there is none.

        The links on the way are followed, so that a swapped one, as of a Kubernetes config map, counts.
        """
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a reload did. `waiting` are the keys that were changed in vain: they need a restart."""

    result: Literal["applied", "unchanged", "failed"]
    generation: int
    classifier: Literal["kept", "loaded"] = "kept"
    changes: tuple[Change, ...] = ()
    waiting: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: Exception | None = None

    def response(self) -> Response:
        """For whoever asked: 422 where the operator has something to fix, 500 where we have."""
        if self.error is None:
            return json_response(
                {
                    "result": self.result,
                    "generation": self.generation,
                    "classifier": self.classifier,
                    "changes": self.changes,
                    "needs_restart": self.waiting,
                    "warnings": self.warnings,
                }
            )
        theirs = isinstance(self.error, CannotStart)
        message = str(self.error) if theirs else "internal error; see the service's log"
        body = error_body(
            f"not reloaded, the config of before goes on to serve: {message}",
            type="invalid_config" if theirs else "internal_error",
            param=None,
            code="reload_failed",
        )
        if isinstance(self.error, ConfigError):
            body["error"]["problems"] = [problem.fields() for problem in self.error.problems]
        return json_response(body, HTTPStatus.UNPROCESSABLE_ENTITY if theirs else HTTPStatus.INTERNAL_SERVER_ERROR)


class Reloader:
    """Reloads when asked, one reload after another; those who ask during one share the next."""

    def __init__(self, source: ConfigSource, prepared: Prepared, generations: Generations, notify: Notifier) -> None:
        """`prepared` is what `source` was read to, and serves."""
        self._source = source
        self.serving = prepared
        self._generations = generations
        self._notify = notify
        self.generation = 1
        self.loaded = time.time()
        """When the config was last read without an error, in seconds since the epoch."""
        self.failure: str | None = None
        """Why the latest reload failed, if it did."""
        self._asked = asyncio.Event()
        self._triggers: set[str] = set()
        self._next: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        watch = generations.metrics.watch
        watch("config_generation", "Counts the configs that have served.", lambda: self.generation)
        watch("config_loaded_timestamp_seconds", "When it was last read without an error.", lambda: self.loaded)
        watch("config_reload_failed", "1 where the last reload failed.", lambda: self.failure is not None)

    def ask(self, trigger: str) -> asyncio.Future[Outcome]:
        """Reload soon. Do not cancel what comes back: others may wait for it."""
        self._triggers.add(trigger)
        self._asked.set()
        return self._next

    def status(self) -> str:
        """How it goes, in one line."""
        status = self._generations.current.status()
        return status if self.failure is None else f"the config was not reloaded, see the log; {status}"

    async def answer(self, _: Request) -> Response:
        """Handles `POST /reload`."""
        return (await asyncio.shield(self.ask("request"))).response()

    async def watch(self) -> None:
        """Reload when the file has changed, until cancelled."""
        before: Stamp | None = None
        while True:
            await asyncio.sleep(WATCH_S)
            news = await asyncio.to_thread(self._source.news)
            if news is not None and news == before:  # one that changes still may be half written
                await asyncio.shield(self.ask("file"))
            before = news

    async def run(self) -> None:
        """Do what is asked, until cancelled."""
        while True:
            await self._asked.wait()
            asked, triggers = self._next, sorted(self._triggers)
            self._next = asyncio.get_running_loop().create_future()
            self._triggers.clear()
            self._asked.clear()
            self._notify.reloading()
            started = time.perf_counter()
            outcome = await self._reload()
            self._report(outcome, triggers, time.perf_counter() - started)
            self._notify.ready(self.status())
            asked.set_result(outcome)

    async def _reload(self) -> Outcome:
        before = self.serving
        try:
            read = await asyncio.to_thread(self._source.prepare, before)
            prepared, waiting = _where_it_listens(before, read)
            found = (*changes(before.config, prepared.config), *_other_files(before, prepared))
            kept = prepared.classifier is before.classifier
            if kept and not found:
                return Outcome("unchanged", self.generation, waiting=waiting, warnings=read.warnings)
            try:
                refuse_loops(prepared.config)
                self._generations.swap(prepared)
            except BaseException:  # whatever it is, nobody else has this classifier to close
                if not kept:
                    await asyncio.to_thread(prepared.classifier.close)
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the config of before goes on to serve
            return Outcome("failed", self.generation, error=error)
        self.serving = prepared
        self.generation += 1
        return Outcome("applied", self.generation, "kept" if kept else "loaded", found, waiting, read.warnings)

    def _report(self, outcome: Outcome, triggers: list[str], seconds: float) -> None:
        log = self._generations.log
        self._generations.metrics.reloads.add(outcome.result)
        self.failure = None if outcome.error is None else str(outcome.error) or repr(outcome.error)
        if outcome.error is None:
            self.loaded = time.time()
        for warning in outcome.warnings:
            log.write("warning", "config", message=warning)
        unexpected = outcome.error is not None and not isinstance(outcome.error, CannotStart)
        log.write(
            "info" if outcome.error is None else "error",
            "reload",
            result=outcome.result,
            trigger=triggers,
            generation=outcome.generation,
            classifier=outcome.classifier,
            changes=outcome.changes or None,
            needs_restart=outcome.waiting or None,
            error=self.failure,
            traceback="".join(traceback.format_exception(outcome.error)) if unexpected else None,
            seconds=round(seconds, 3),
        )


def _where_it_listens(before: Prepared, read: Prepared) -> tuple[Prepared, tuple[str, ...]]:
    """What was read but with the addresses of before, and the keys of those that are others now."""
    bound, wanted = before.config.pointsman.server, read.config.pointsman.server
    server = replace(wanted, listen=bound.listen, admin_listen=bound.admin_listen)
    config = replace(read.config, pointsman=replace(read.config.pointsman, server=server))
    waiting = tuple(change.path for change in changes(server, wanted, "pointsman.server"))
    return replace(read, config=config), waiting


def _other_files(before: Prepared, after: Prepared) -> Iterator[Change]:
    """What has changed but does not show in the config; a key is never shown."""
    old, new = _name(before.classifier), _name(after.classifier)
    if old != new:
        yield Change(path="classifier", old=old, new=new)
    files = [one.config.pointsman.relay.api_key_file for one in (before, after)]
    if files[0] == files[1] and before.key_line != after.key_line:
        yield Change(path="pointsman.relay.api_key_file", old="(a key)", new="(another key)")


def _name(classifier: Classifier) -> str:
    found = classifier.artifact
    return f"{found.folder.name} {found.manifest.files[MODEL][:12]}"

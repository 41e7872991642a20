"""Reload the config while requests continue: read and check the new one, then swap."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from http import HTTPStatus
from typing import Any, Literal

from pointsman import daemon_thread
from pointsman.app.generations import Generations
from pointsman.app.prepare import PreparedConfig, refuse_loops, refuse_strangers
from pointsman.app.source import ConfigSource, Stamps
from pointsman.app.systemd import Notifier
from pointsman.classify.classifier import Classifier
from pointsman.config.changes import ConfigChange, changes
from pointsman.config.client_keys import ClientKey, ClientKeys
from pointsman.errors import CannotStart, ConfigError, ShuttingDown, error_body
from pointsman.server.request import Request
from pointsman.server.response import Response, error_response, json_response

WATCH_SECONDS = 1.0
# Between two reloads: reading a config takes 20 ms of a core, and requests meanwhile share one reload.
PAUSE_SECONDS = 0.1
# A line of the log that names more changed keys is hard to read.
MAX_SHOWN_KEYS = 20


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """The outcome of a reload; `waiting` are changed keys that need a restart."""

    result: Literal["applied", "unchanged", "failed"]
    generation: int
    classifier: Literal["kept", "loaded"] = "kept"
    changes: tuple[ConfigChange, ...] = ()
    waiting: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: Exception | None = None

    def fields(self) -> dict[str, Any]:
        """Return the effects of a successful reload."""
        return {
            "result": self.result,
            "generation": self.generation,
            "classifier": self.classifier,
            "changes": self.changes,
            "needs_restart": self.waiting,
            "warnings": self.warnings,
        }

    def response(self) -> Response:
        """Return the response to `POST /reload`: 422 if the operator must fix something, 500 for an internal error.

        It is 503 if the service stops meanwhile.
        """
        if self.error is None:
            return json_response(self.fields())
        if isinstance(self.error, ShuttingDown):
            return error_response(self.error)
        theirs = isinstance(self.error, CannotStart)
        message = str(self.error) if theirs else "internal error; see the service's log"
        body = error_body(
            f"not reloaded, the previous config stays in use: {message}",
            type="invalid_config" if theirs else "internal_error",
            param=None,
            code="reload_failed",
        )
        if isinstance(self.error, ConfigError):
            body["error"]["problems"] = [problem.fields() for problem in self.error.problems]
        return json_response(body, HTTPStatus.UNPROCESSABLE_ENTITY if theirs else HTTPStatus.INTERNAL_SERVER_ERROR)


class Reloader:
    """A runner of requested reloads, one after another; requests that arrive during one share the next."""

    def __init__(
        self, source: ConfigSource, prepared: PreparedConfig, generations: Generations, notify: Notifier
    ) -> None:
        """Take `prepared`, the served config of `source`."""
        self._source = source
        self.serving = prepared
        self._generations = generations
        self._notify = notify
        self.generation = 1
        self.loaded = time.time()
        """Time of the last successful load, in seconds since the epoch."""
        self.bound: tuple[str, ...] = ()
        """The addresses of the data port, also of inherited sockets."""
        self.failure: str | None = None
        """Error of the latest reload, or None."""
        self.applied: Callable[[], None] = lambda: None
        """Called at the start and after each reload that succeeded."""
        self._asked = asyncio.Event()
        self._triggers: set[str] = set()
        self._next: asyncio.Future[ReloadOutcome] = asyncio.get_running_loop().create_future()
        watch = generations.metrics.watch
        watch("config_generation", "Number of configs that have been in use.", lambda: self.generation)
        watch("config_loaded_timestamp_seconds", "Time of the last successful load.", lambda: self.loaded)
        watch("config_reload_failed", "1 if the last reload failed.", lambda: self.failure is not None)

    def ask(self, trigger: str) -> asyncio.Future[ReloadOutcome]:
        """Request a reload. Do not cancel the returned future: others may wait for it."""
        self._triggers.add(trigger)
        self._asked.set()
        return self._next

    def status(self) -> str:
        """Return the service's status as one line."""
        status = self._generations.trouble() or self._generations.current.status()
        return status if self.failure is None else f"the config was not reloaded, see the log; {status}"

    async def answer(self, _: Request) -> Response:
        """Handle `POST /reload`."""
        return (await asyncio.shield(self.ask("request"))).response()

    async def watch(self) -> None:
        """Reload when a file has changed, until canceled."""
        before: Stamps | None = None
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            news = await asyncio.to_thread(self._source.news)
            if news is not None and news == before:  # a file that is still changing may be incomplete
                await asyncio.shield(self.ask("file"))
            before = news

    async def run(self) -> None:
        """Run requested reloads until canceled."""
        self.applied()
        while True:
            await self._asked.wait()
            asked, triggers = self._next, sorted(self._triggers)
            self._next = asyncio.get_running_loop().create_future()
            self._triggers.clear()
            self._asked.clear()
            outcome = ReloadOutcome("failed", self.generation, error=RuntimeError("the reloader failed"))
            self._notify.reloading()
            started = time.perf_counter()
            try:
                outcome = await self._reload()
                self._report(outcome, triggers, time.perf_counter() - started)
                self._notify.ready(self.status())
            except asyncio.CancelledError:
                outcome = ReloadOutcome(
                    "failed", self.generation, error=ShuttingDown("the service stops; the config was not reloaded")
                )
                raise
            except Exception:  # systemd must not wait for the end of this reload, whatever failed
                self._notify.ready("the reloader failed, see the log")
                raise
            finally:  # whatever fails, no client waits forever
                asked.set_result(outcome)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _reload(self) -> ReloadOutcome:
        before = self.serving
        try:
            # A reading that hangs must not keep the process from ending, as a thread of the loop's own executor would.
            reading = daemon_thread.start(lambda: self._source.prepare(before), "reload")
            read = await asyncio.wrap_future(reading)
            prepared, waiting = _with_bound_addresses(before, read)
            shadow = self._generations.current.shadow
            found = (
                *changes(before.config, prepared.config),
                *_other_files(before, prepared),
                *_shadow(before, prepared, stopped=shadow is not None and shadow.state == "stopped"),
            )
            classifier, encoder = prepared.classifier, before.classifier.encoder
            kept = classifier.encoder is encoder and classifier.artifact == before.classifier.artifact
            if kept and not found:
                idle = read.idle_examples
                self.serving = replace(before, rolled_back=read.rolled_back, promoted=read.promoted, idle_examples=idle)
                return ReloadOutcome("unchanged", self.generation, waiting=waiting, warnings=read.warnings)
            try:
                refuse_loops(prepared.config)
                refuse_strangers(prepared.config, self.bound)
                self._generations.swap(prepared)
            except BaseException:  # nothing else would close the new encoder
                if classifier.encoder is not encoder:
                    await asyncio.to_thread(classifier.encoder.close)
                raise
        except Exception as error:  # noqa: BLE001 - on any error the previous config stays in use
            return ReloadOutcome("failed", self.generation, error=error)
        self.serving = prepared
        self.generation += 1
        return ReloadOutcome("applied", self.generation, "kept" if kept else "loaded", found, waiting, read.warnings)

    def _report(self, outcome: ReloadOutcome, triggers: list[str], seconds: float) -> None:
        log = self._generations.log
        self._generations.metrics.reloads.add(outcome.result)
        self.failure = None if outcome.error is None else str(outcome.error) or repr(outcome.error)
        if outcome.error is None:
            self.loaded = time.time()
            self.applied()
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


def _with_bound_addresses(before: PreparedConfig, read: PreparedConfig) -> tuple[PreparedConfig, tuple[str, ...]]:
    """Restore the bound addresses; return the adjusted config and the changed keys that need a restart."""
    bound, wanted = before.config.pointsman.server, read.config.pointsman.server
    server = replace(wanted, **{one.name: getattr(bound, one.name) for one in fields(bound) if one.metadata["restart"]})
    config = replace(read.config, pointsman=replace(read.config.pointsman, server=server))
    waiting = tuple(change.path for change in changes(server, wanted, "pointsman.server"))
    return replace(read, config=config), waiting


def _other_files(before: PreparedConfig, after: PreparedConfig) -> Iterator[ConfigChange]:
    """Yield changes that the config itself does not show; keys are never shown."""
    old, new = _name(before.classifier), _name(after.classifier)
    if old != new:
        yield ConfigChange(path="classifier", old=old, new=new)
    relays, servers = ([getattr(one.config.pointsman, key) for one in (before, after)] for key in ("relay", "server"))
    if relays[0].api_key_file == relays[1].api_key_file and before.key_line != after.key_line:
        yield ConfigChange(path="pointsman.relay.api_key_file", old="(a key)", new="(another key)")
    if servers[0].admin_token_file == servers[1].admin_token_file and before.admin_token != after.admin_token:
        yield ConfigChange(path="pointsman.server.admin_token_file", old="(a token)", new="(another token)")
    for key, port in (("tls", "certificate"), ("admin_tls", "admin_certificate")):
        certificates = [getattr(one, port) for one in (before, after)]
        same_files = getattr(servers[0], key) == getattr(servers[1], key)
        if same_files and None not in certificates and certificates[0].digest != certificates[1].digest:
            yield ConfigChange(path=f"pointsman.server.{key}", old="(a certificate)", new="(another certificate)")
    yield from _keys(before.keys, after.keys)


def _shadow(before: PreparedConfig, after: PreparedConfig, *, stopped: bool) -> Iterator[ConfigChange]:
    """Yield changes of the classifier in shadow that the config does not show: another artifact, or a new start."""
    old, new = (one.config.pointsman.classifier.shadow for one in (before, after))
    if old == new and (stopped or before.shadow != after.shadow):
        words = ("(stopped)", "(started)") if stopped else ("(an artifact)", "(another artifact)")
        yield ConfigChange(path="pointsman.classifier.shadow", old=words[0], new=words[1])


def _keys(before: ClientKeys | None, after: ClientKeys | None) -> Iterator[ConfigChange]:
    """Yield the changes of client keys, by name; if there are many, their number."""
    old, new = ({key.name: key for key in keys or ()} for keys in (before, after))
    changed = [name for name in dict.fromkeys((*old, *new)) if old.get(name) != new.get(name)]
    path = "pointsman.access.keys_file"
    if len(changed) > MAX_SHOWN_KEYS:
        yield ConfigChange(
            path=path, old=f"({len(old)} keys)", new=f"({len(new)} keys, {len(changed)} of them changed)"
        )
        return
    for name in changed:
        words = ["(a key)" if name in old else None, "(a key)" if name in new else None]
        if name in old and name in new:
            words[1] = _secrets_changed(old[name], new[name]) or "(other limits)"
        yield ConfigChange(path=f"{path}[{name}]", old=words[0], new=words[1])


def _secrets_changed(before: ClientKey, after: ClientKey) -> str | None:
    """Return the change of a key's secrets, or None."""
    old, new = set(before.digests), set(after.digests)
    if old == new:
        return None
    if old < new:
        return "(a second secret)"
    return "(one of its two secrets)" if new < old else "(another secret)"


def _name(classifier: Classifier) -> str:
    found = classifier.artifact
    return f"{found.folder.name} {found.manifest.scores_sha256[:12]}"

"""Let another classifier serve instead of the config's, go back, and discard others.

The config file is never written.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from pointsman.app.overlay import WRITE_SECONDS, OverlayStore
from pointsman.app.reload import Reloader
from pointsman.app.source import ConfigSource
from pointsman.classify import artifact
from pointsman.config import overlay
from pointsman.config.overlay import Overlay, Promotion
from pointsman.daemon_thread import SerialExecutor
from pointsman.errors import ArtifactError, RequestError
from pointsman.improve.folder import ARTIFACTS, discard
from pointsman.server.response import Response, json_response

T = TypeVar("T")
MAX_LISTED_ARTIFACTS = 100


class ArtifactRegistry:
    """The promotion of artifacts, and their rollback; one change at a time, each proven by a reload first."""

    def __init__(self, source: ConfigSource, reloader: Reloader, store: OverlayStore) -> None:
        self._source = source
        self._reloader = reloader
        self._overlay = store
        self._lock = asyncio.Lock()
        self._disk = SerialExecutor("artifacts")
        self._tasks: set[asyncio.Task[Response]] = set()

    async def listed(self) -> Response:
        """Return the classifier in use, those before, and the artifacts that can be promoted; raises RequestError."""
        return json_response(await self._described())

    async def promote(self, name: str | None, instead_of: Path | None = None) -> Response:
        """Let an artifact serve, by default the newest; raises RequestError.

        If `instead_of` is given, that must be the folder of the one in use.
        """
        return await self._begin(self._promoted(name, instead_of))

    async def roll_back(self) -> Response:
        """Let the classifier before serve again; raises RequestError."""
        return await self._begin(self._rolled_back())

    async def discard(self, name: str) -> Response:
        """Delete an artifact of the state directory that nothing uses; raises RequestError."""
        return await self._begin(self._discarded(name))

    async def _begin(self, work: Coroutine[Any, Any, Response]) -> Response:
        """Run a change to its end, even if the client leaves."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _promoted(self, name: str | None, instead_of: Path | None) -> Response:
        async with self._lock:
            folder = await self._folder(name)
            serving = self._reloader.serving
            if instead_of not in (None, serving.classifier.artifact.folder):
                message = f"{instead_of} is no longer the classifier in use"
                raise RequestError(message, status=HTTPStatus.CONFLICT, code="classifier_in_use")
            over = (
                serving.config.classifier.category_model.model_id if serving.promoted is None else serving.promoted.over
            )
            promoted = Promotion(path=str(folder), over=over, at=int(time.time()))
            if serving.promoted is not None and serving.promoted.path == promoted.path:
                message = f"{folder} is the classifier in use"
                raise RequestError(message, status=HTTPStatus.CONFLICT, code="classifier_in_use")
            return await self._turn(lambda now: overlay.promoting(now, promoted), "promote")

    async def _rolled_back(self) -> Response:
        async with self._lock:
            if self._overlay.current.classifier is None:
                message = "no classifier is promoted: the one that the config names serves"
                raise RequestError(message, status=HTTPStatus.CONFLICT, code="no_promoted_classifier")
            return await self._turn(overlay.rolling_back, "rollback")

    async def _discarded(self, name: str) -> Response:
        async with self._lock:
            if name not in [one["name"] for one in await self._artifacts()]:
                message = f"{name!r} is no name in `pointsman classifier list`; only artifacts of fits can be discarded"
                raise RequestError(message, status=HTTPStatus.NOT_FOUND, code="no_artifact")
            state = cast("Path", self._source.state)
            folder = state / ARTIFACTS / name
            used = list(self._used())
            await self._on_disk(lambda: _refuse_used(folder, used), f"{folder} cannot be read")
            # First: a rollback must not reach a half-deleted artifact.
            if any(one.path == str(folder) for one in self._overlay.current.former):
                await self._overlay.change(lambda now: overlay.without_former(now, str(folder)), "classifier discard")
            failed = f"{folder} is not all gone; remove it, or what is left in .{name}.discarded beside it, by hand"
            await self._on_disk(lambda: discard(folder, state), failed, "discard_failed")
            return json_response(await self._described())

    def _used(self) -> Iterator[tuple[Path, str]]:
        """Yield the folders of artifacts that must stay, and why."""
        serving = self._reloader.serving
        yield serving.classifier.artifact.folder, "is the classifier in use; promote another, or go back"
        shadow = serving.config.pointsman.classifier.shadow
        base = self._source.path.parent
        if shadow is not None:
            yield artifact.resolve(shadow, base), "is in shadow; take it out of classifier.shadow"
        if serving.promoted is not None:
            yield artifact.resolve(serving.promoted.over, base), "is named in the config, which goes back to it"
        promoted = self._overlay.current.classifier
        if promoted is not None:  # if the config names another by now, it serves again when that is undone
            yield Path(promoted.path), "was promoted; roll back first"

    async def _turn(self, edit: Callable[[Overlay], Overlay], command: str) -> Response:
        """Serve the classifier of the edited overlay, and store that; if it cannot serve, change nothing."""
        before, after = self._source.promoted, edit(self._overlay.current).classifier
        self._source.promoted = after
        outcome = await asyncio.shield(self._reloader.ask(f"classifier {command}"))
        if outcome.error is not None:
            self._source.promoted = before
            return outcome.response()
        await self._overlay.change(edit, by=f"classifier {command}")
        return json_response(outcome.fields() | await self._described() | {"trouble": self._overlay.trouble})

    async def folder_of(self, name: str) -> Path:
        """Return the folder of an artifact that can be tried: also the config's own, while another serves instead.

        Raises RequestError.
        """
        serving = self._reloader.serving
        if serving.promoted is not None and name == serving.promoted.over:
            return artifact.resolve(name, self._source.path.parent)
        return await self._folder(name)

    async def _folder(self, name: str | None) -> Path:
        """Return the folder of an artifact by its name or path, by default the newest; raises RequestError."""
        state = self._source.state
        if name is None:
            found = await self._artifacts()
            if not found:
                message = "there is no artifact to promote; `pointsman fit --labelled` writes one"
                raise RequestError(message, status=HTTPStatus.NOT_FOUND, code="no_artifact")
            name = str(found[0]["name"])
        if Path(name).is_absolute():
            return Path(name)
        if state is None or Path(name).name != name or name in ("", ".."):
            message = f"{name!r} is neither a name in `pointsman classifier list` nor the path of a folder"
            raise RequestError(message, status=HTTPStatus.NOT_FOUND, code="no_artifact")
        return state / ARTIFACTS / name

    async def _described(self) -> dict[str, Any]:
        serving, now = self._reloader.serving, self._overlay.current
        model = serving.config.classifier.category_model.model_id
        return {
            "in_use": model,
            "config": model if serving.promoted is None else serving.promoted.over,
            "promoted": None if serving.promoted is None else msgspec.to_builtins(serving.promoted),
            "former": [msgspec.to_builtins(one) for one in reversed(now.former)],
            "shadow": None if serving.shadow is None else str(serving.shadow.folder),
            "artifacts": await self._artifacts(),
            "trouble": self._overlay.trouble,
        }

    async def _artifacts(self) -> list[dict[str, Any]]:
        """Return the artifacts in the state directory, the newest first; raises RequestError."""
        state = self._source.state
        if state is None:
            return []
        return await self._on_disk(lambda: _listed(state / ARTIFACTS), f"{state / ARTIFACTS} cannot be read")

    async def _on_disk(self, work: Callable[[], T], failed: str, code: str = "no_artifact") -> T:
        """Run disk work, which may hang, in a thread; raises RequestError."""
        try:
            return await self._disk.run(work, WRITE_SECONDS)
        except OSError as error:
            raise RequestError(f"{failed}: {error.strerror}", status=HTTPStatus.CONFLICT, code=code) from error


def _refuse_used(folder: Path, used: list[tuple[Path, str]]) -> None:
    """Raise RequestError if an artifact must stay."""
    for one, how in used:
        if os.path.realpath(one) == os.path.realpath(folder):
            message = f"{folder.name} {how}: it stays"
            raise RequestError(message, status=HTTPStatus.CONFLICT, code="classifier_in_use")


def _listed(folder: Path) -> list[dict[str, Any]]:
    if not folder.is_dir():
        return []
    found = []
    for one in sorted((path for path in folder.iterdir() if not path.name.startswith(".")), reverse=True)[
        :MAX_LISTED_ARTIFACTS
    ]:
        try:
            manifest = artifact.read_manifest(one)
        except ArtifactError:
            continue
        figures = manifest.verification.get("correction", {})
        found.append(
            {
                "name": one.name,
                "path": str(one),
                "created": manifest.created,
                "source": manifest.source.name,
                "labelled": figures.get("labelled"),
                "right_before": figures.get("right_before"),
                "right_after": figures.get("right_after"),
                "teaching": manifest.verification.get("teaching"),
            }
        )
    return sorted(found, key=lambda one: str(one["created"]), reverse=True)

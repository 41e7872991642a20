"""Make the head in use anew after an upgrade that brought another built-in encoder, and promote it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from pathlib import Path

import msgspec

from pointsman import daemon_thread
from pointsman.app.artifact_registry import ArtifactRegistry
from pointsman.classify import artifact, head_rows, kept_encoder
from pointsman.classify.artifact import BUILTIN, Artifact
from pointsman.classify.manifest import HEAD, Manifest
from pointsman.errors import ArtifactError, RequestError
from pointsman.improve.folder import ARTIFACTS
from pointsman.improve.improver import Improver
from pointsman.observability.log import Log
from pointsman.server.response import Response


def is_due(serving: Artifact, encoder: str | None, made: Iterable[Manifest]) -> bool:
    """Return whether to make the head in use anew on the built-in encoder of this release.

    `made` are the manifests of artifacts in the state directory: if one of them was made of it for this encoder, it was
    rolled back.
    """
    own = serving.manifest
    return (
        kept_encoder.is_on_kept(serving)
        and not head_rows.missing(serving.folder, own)
        and not any(
            one.verification.get(head_rows.REMADE) == own.files[HEAD] and one.encoder == encoder for one in made
        )
    )


async def renew(
    serving: Artifact, state: Path | None, improver: Improver, registry: ArtifactRegistry, log: Log
) -> None:
    """Make the head in use anew if that is due, and let it serve; one line of the log says so, or why it does not."""
    try:
        # A disk that hangs must not keep the process from ending.
        due = daemon_thread.start(lambda: state is not None and _is_due(serving, state), "renewal")
        if not await asyncio.wrap_future(due):
            return
        made = await improver.fit_again(serving.folder)
        await _promote(made, serving.folder, registry)
    except Exception as error:  # noqa: BLE001 - whatever it is, the old head serves on
        message = f"{serving.folder} serves on the encoder of another release, and was not made anew: {error}"
        log.write("warning", "classifier", message=message)
    else:
        message = f"{made} serves, made anew from the rows of {serving.folder} on the encoder of this release"
        log.write("info", "classifier", message=f"{message}; `pointsman classifier rollback` goes back")


async def _promote(made: Path, before: Path, registry: ArtifactRegistry) -> None:
    """Promote a new head, or discard it; raises ArtifactError or RequestError with the reason."""
    try:
        _check(await registry.promote(str(made), instead_of=before))
    except (ArtifactError, RequestError):
        with contextlib.suppress(RequestError):  # the next start tries again
            await registry.discard(made.name)
        raise


def _check(response: Response) -> None:
    """Raise ArtifactError with the reason of a failed reload."""
    if response.status != HTTPStatus.OK:
        raise ArtifactError(msgspec.json.decode(response.body)["error"]["message"])


def _is_due(serving: Artifact, state: Path) -> bool:
    """Return the same as `is_due`, by the disk."""
    return is_due(serving, artifact.read_manifest(BUILTIN).encoder, _manifests(state / ARTIFACTS))


def _manifests(folder: Path) -> Iterator[Manifest]:
    for one in folder.glob("*"):
        with contextlib.suppress(ArtifactError):
            yield artifact.read_own(one)

"""Keep the built-in encoder that a served head needs, since the next release of the package may have another."""

from __future__ import annotations

import os
import shutil

from pointsman import files
from pointsman.classify import head_rows
from pointsman.classify.artifact import BUILTIN, Artifact, kept_encoder

MAX_KEPT_ENCODERS = 3


def is_on_kept(found: Artifact) -> bool:
    """Return whether an artifact is a head whose encoder the package no longer has."""
    encoder = found.manifest.encoder
    return found.head is not None and encoder is not None and found.graph_folder == kept_encoder(encoder)


def keep(found: Artifact) -> list[str]:
    """Copy the encoder to the state directory if a head needs it; return warnings for the operator."""
    if found.head is None or found.manifest.encoder is None or files.state_directory() is None:
        return []
    kept = kept_encoder(found.manifest.encoder)
    if is_on_kept(found):
        message = f"{found.folder} is a head for the encoder of another release, which is kept in {kept}"
        again = "" if head_rows.missing(found.folder, found.manifest) else " (`pointsman fit --again`)"
        return [f"{message}; fit it again{again} to use the encoder of this one"]
    if found.graph_folder.resolve() != BUILTIN.resolve() or kept.is_dir():
        return []
    part = kept.with_name(f".{kept.name}")
    try:
        files.make_folder(kept.parent)
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(BUILTIN, part)
        for path in part.iterdir():  # what a power failure tears would be found after the upgrade, too late
            with files.opened(path) as file:
                os.fsync(file.fileno())
        part.rename(kept)
        others = sorted((one for one in kept.parent.iterdir() if one != kept), key=lambda one: one.stat().st_mtime)
        for one in others[: -(MAX_KEPT_ENCODERS - 1)]:
            shutil.rmtree(one)
    except OSError as error:
        return [f"{kept} cannot be written ({error.strerror}): after an upgrade, {found.folder} may have no encoder"]
    return []

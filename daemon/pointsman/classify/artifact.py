"""Read an artifact: a folder with `model.onnx`, `tokenizer.json` and the manifest `pointsman.json`.

`pointsman export` writes artifacts; the manifest's format is defined here for exporter and daemon.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from pointsman import files
from pointsman.errors import ArtifactError

FORMAT_VERSION = 1
MANIFEST = "pointsman.json"
MODEL = "model.onnx"
TOKENIZER = "tokenizer.json"
LARGEST_MANIFEST_BYTES = 1 << 20
BUILTIN = Path(__file__).parent.parent / "assets" / "builtin"
"""The classifier shipped with the package."""


class Source(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The origin of the weights: the name given to the exporter, and the SHA-256 of the weight file."""

    name: str
    sha256: str


class Manifest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The content of `pointsman.json`; `labels` are in the order of the logits."""

    format_version: int
    labels: list[str]
    max_tokens: int
    inputs: list[str]
    output: str
    opset: int
    precision: str
    target: str
    temperature: float
    suggested_threshold: float | None
    source: Source
    files: dict[str, str]
    verification: dict[str, Any]
    versions: dict[str, str]
    created: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """A folder whose files match its manifest."""

    folder: Path
    manifest: Manifest

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / TOKENIZER


def resolve(model_id: str, base: Path) -> Path:
    """Return the folder of `model_id`: `builtin`, an absolute path, or a path relative to `base`."""
    return BUILTIN if model_id == "builtin" else (base / model_id).resolve()


def load(folder: Path) -> Artifact:
    """Read the manifest and verify the SHA-256 of every file; raises ArtifactError."""
    manifest = read_manifest(folder)
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtifactError(f"{folder}: {name} is missing; export the classifier again")
        try:
            found = sha256(path)
        except OSError as error:
            raise _unreadable(path, error) from error
        if found != digest:
            raise ArtifactError(
                f"{path}: SHA-256 is {found[:12]}…, the manifest says {digest[:12]}…: the file is damaged or was "
                "replaced; export the classifier again"
            )
    return Artifact(folder, manifest)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest without verifying the files; raises ArtifactError."""
    path = folder / MANIFEST
    try:
        data = files.read(path, LARGEST_MANIFEST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(_not_an_artifact(folder)) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        version = msgspec.json.decode(data, type=dict[str, Any]).get("format_version")
        if version != FORMAT_VERSION:
            raise ArtifactError(
                f"{path}: format_version is {version!r}, this release reads {FORMAT_VERSION}; "
                "export the classifier again"
            )
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path}: not a manifest ({error}); export the classifier again") from error
    if not {MODEL, TOKENIZER} <= manifest.files.keys() or len(set(manifest.labels)) < len(manifest.labels):
        raise ArtifactError(f"{path}: lacks {MODEL} or {TOKENIZER}, or has a label twice; export the classifier again")
    return manifest


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unreadable(path: Path, error: OSError) -> ArtifactError:
    return ArtifactError(f"{path}: cannot be read ({error.strerror}); check path and permissions")


def _not_an_artifact(folder: Path) -> str:
    if not folder.is_dir():
        return f'{folder}: no such folder; set model_id to an exported artifact\'s folder or to "builtin"'
    if (folder / "config.json").is_file():
        return (
            f"{folder}: holds a checkpoint that was not exported yet; run "
            f"`pointsman export {folder} -o {folder}-onnx` and set model_id to {folder}-onnx"
        )
    return f'{folder}: no {MANIFEST} in it; run `pointsman export SOURCE -o {folder}` or set model_id to "builtin"'

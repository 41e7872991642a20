"""Read an artifact: a folder with `model.onnx`, `tokenizer.json` and the manifest `pointsman.json`.

It may have calibration rows, too, in `calibration.bin`, and the features of ordinary requests in `ordinary.bin`.
`pointsman export` and `fit` write artifacts. Every file is bounded, and must be a regular file.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointsman import files
from pointsman.classify import calibration, ordinary
from pointsman.classify.calibration import BadCalibration, Calibration
from pointsman.classify.manifest import CALIBRATION, MODEL, ORDINARY, TOKENIZER, BadManifest, Manifest, decode
from pointsman.classify.ordinary import BadOrdinary
from pointsman.errors import ArtifactError

MANIFEST = "pointsman.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 16 << 30
"""Far more than any encoder; reading this much takes seconds."""
BUILTIN = Path(__file__).parent.parent / "assets" / "builtin"
"""The classifier shipped with the package."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A folder whose files match its manifest; `calibration` is None if it has no calibration rows."""

    folder: Path
    manifest: Manifest
    calibration: Calibration | None = field(default=None, compare=False)

    @property
    def model_path(self) -> Path:
        return self.folder / MODEL

    @property
    def tokenizer_path(self) -> Path:
        return self.folder / TOKENIZER


def resolve(model_id: str, base: Path) -> Path:
    """Return the folder of `model_id`: `builtin`, an absolute path, or a path relative to `base`.

    Raises ArtifactError if no path has this form.
    """
    if model_id == "builtin":
        return BUILTIN
    try:
        return Path(os.path.realpath(base / model_id))  # `Path.resolve` of Python 3.11 fails for a loop of links
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{model_id!r}: is not a path ({error}); set model_id to an exported artifact") from error


def load(folder: Path) -> Artifact:
    """Read the manifest and verify the SHA-256 of every file; raises ArtifactError."""
    manifest = read_manifest(folder)
    for name, digest in manifest.files.items():
        path = folder / name
        try:
            found = sha256(path)
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as error:
            raise _unreadable(path, error) from error
        _check(path, found, digest)
    return Artifact(folder, manifest, read_calibration(folder, manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest without verifying the files; raises ArtifactError."""
    path = folder / MANIFEST
    try:
        data = files.read(path, MAX_MANIFEST_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(_not_an_artifact(folder)) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        return decode(data)
    except BadManifest as error:
        raise ArtifactError(f"{path}: {error}; export the classifier again") from error


def read_calibration(folder: Path, manifest: Manifest) -> Calibration | None:
    """Read and verify the calibration rows; return None if the artifact has none; raises ArtifactError."""
    if CALIBRATION not in manifest.files:
        return None
    path = folder / CALIBRATION
    try:
        data = _verified(path, calibration.MAX_CALIBRATION_BYTES, manifest)
        return calibration.decode(data, len(manifest.labels))
    except BadCalibration as error:
        raise ArtifactError(f"{path}: {error}; export the classifier again") from error


def read_ordinary(folder: Path, manifest: Manifest) -> npt.NDArray[np.floating] | None:
    """Read and verify the features of ordinary requests; return None if the artifact has none; raises ArtifactError."""
    if manifest.features is None or ORDINARY not in manifest.files:
        return None
    path = folder / ORDINARY
    try:
        data = _verified(path, ordinary.MAX_ORDINARY_BYTES, manifest)
        return ordinary.decode(data, manifest.features.width)
    except BadOrdinary as error:
        raise ArtifactError(f"{path}: {error}; export the classifier again") from error


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex; raises OSError, also if it is no regular file of a sane size."""
    with files.opened(path) as file:
        if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
            raise OSError(0, f"it is larger than {MAX_FILE_BYTES:,} bytes")
        return hashlib.file_digest(file, "sha256").hexdigest()


def _verified(path: Path, max_bytes: int, manifest: Manifest) -> bytes:
    """Return the content of a file that the manifest lists; raises ArtifactError."""
    try:
        data = files.read(path, max_bytes)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise _unreadable(path, error) from error
    _check(path, hashlib.sha256(data).hexdigest(), manifest.files[path.name])
    return data


def _check(path: Path, found: str, digest: str) -> None:
    if found != digest:
        raise ArtifactError(
            f"{path}: SHA-256 is {found[:12]}…, the manifest says {digest[:12]}…: the file is damaged or was replaced; "
            "export the classifier again"
        )


def _missing(path: Path) -> ArtifactError:
    return ArtifactError(f"{path.parent}: {path.name} is missing; export the classifier again")


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

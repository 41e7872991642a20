"""Read an artifact: a folder with `model.onnx`, `tokenizer.json` and the manifest `pointsman.json`.

It may have calibration rows, too, in `calibration.bin`, and the features of ordinary requests in `ordinary.bin`.
`pointsman export` writes artifacts. `fit` writes heads: artifacts with `head.bin` and the name of the artifact whose
encoder it reads. Every file is bounded, and must be a regular file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from pointsman import files
from pointsman.classify import calibration, linear_head, ordinary, taught
from pointsman.classify.calibration import BadCalibration, Calibration
from pointsman.classify.linear_head import BadHead, LinearHead
from pointsman.classify.manifest import (
    CALIBRATION,
    HEAD,
    MODEL,
    ORDINARY,
    TAUGHT,
    TOKENIZER,
    BadManifest,
    HeadBase,
    Manifest,
    decode,
)
from pointsman.classify.ordinary import BadOrdinary
from pointsman.classify.taught import BadTaught, Taught
from pointsman.errors import ArtifactError

MANIFEST = "pointsman.json"
MAX_MANIFEST_BYTES = 1 << 20
MAX_FILE_BYTES = 16 << 30
"""Far more than any encoder; reading this much takes seconds."""
BUILTIN = Path(__file__).parent.parent / "assets" / "builtin"
"""The classifier shipped with the package."""
ENCODERS = "encoders"
"""The folder in the state directory of encoders that heads need and the package may no longer have."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A folder whose files match its manifest; `calibration` is None if it has no calibration rows.

    `head` exists in the folder of a head, and `base` is then the artifact whose encoder it reads.
    """

    folder: Path
    manifest: Manifest
    calibration: Calibration | None = field(default=None, compare=False)
    head: LinearHead | None = field(default=None, compare=False)
    base: Artifact | None = None

    @property
    def encoder(self) -> Artifact:
        """Return the artifact that has the graph: the base of a head, else this one."""
        return self.base or self

    @property
    def graph_folder(self) -> Path:
        return self.encoder.folder

    @property
    def model_path(self) -> Path:
        return self.graph_folder / MODEL

    @property
    def tokenizer_path(self) -> Path:
        return self.graph_folder / TOKENIZER


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
    own = read_own(folder)
    for name, digest in own.files.items():
        path = folder / name
        try:
            found = sha256(path)
        except FileNotFoundError:
            raise _missing(path) from None
        except OSError as error:
            raise _unreadable(path, error) from error
        _check(path, found, digest)
    if own.head is None:
        return Artifact(folder, own, read_calibration(folder, own))
    base = load(_encoder_folder(folder, own.head))
    return on_encoder(folder, own, base, _read_head(folder, own, base), read_calibration(folder, own))


def on_encoder(
    folder: Path, own: Manifest, base: Artifact, head: LinearHead, rows: Calibration | None = None
) -> Artifact:
    """Return the artifact of a head whose own manifest is `own`; `base` has the encoder."""
    return Artifact(folder, _composed(own, base.manifest), rows, head, base.encoder)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest without verifying the files; raises ArtifactError."""
    own = read_own(folder)
    return own if own.head is None else _composed(own, read_own(_encoder_folder(folder, own.head)))


def _composed(own: Manifest, base: Manifest) -> Manifest:
    """Return the manifest of a head, with what describes the graph from the artifact with the encoder."""
    names = {MODEL, TOKENIZER, ORDINARY} & base.files.keys()
    return msgspec.structs.replace(
        own,
        max_tokens=base.max_tokens,
        inputs=base.inputs,
        output=base.output,
        features=base.features,
        opset=base.opset,
        precision=base.precision,
        target=base.target,
        files={name: base.files[name] for name in names} | own.files,
    )


def _encoder_folder(folder: Path, head: HeadBase) -> Path:
    """Return the folder of an artifact with the encoder of a head; raises ArtifactError."""
    for one in dict.fromkeys((resolve(head.artifact, folder), BUILTIN, kept_encoder(head.encoder))):
        with contextlib.suppress(ArtifactError):
            found = read_own(one)
            if found.head is None and found.encoder == head.encoder:
                return one
    raise ArtifactError(
        f"{folder}: is a head for an encoder ({head.encoder[:12]}…) that neither {head.artifact} nor the built-in "
        f"classifier has; fit it again: `pointsman fit --again {folder}` if its rows are there"
    )


def kept_encoder(identity: str) -> Path:
    """Return the folder in the state directory where an encoder is kept for the heads that need it."""
    return files.service_state() / ENCODERS / identity[:16]


def read_own(folder: Path) -> Manifest:
    """Read what `pointsman.json` says, without what describes the graph of a head; raises ArtifactError."""
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


def _read_head(folder: Path, own: Manifest, base: Artifact) -> LinearHead:
    """Read and verify the weights of a head; raises ArtifactError."""
    path, features = folder / HEAD, base.manifest.features
    added, width = own.head is not None and own.head.added, 0 if features is None else features.width
    if added and len(own.labels) != len(base.manifest.labels):
        raise ArtifactError(f"{path}: corrects other labels than those of {base.folder}; fit it again")
    try:
        data = _verified(path, linear_head.MAX_HEAD_BYTES, own)
        return linear_head.decode(data, len(own.labels), width, added=added)
    except BadHead as error:
        raise ArtifactError(f"{path}: {error}; fit it again") from error


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


def read_ordinary(found: Artifact) -> npt.NDArray[np.floating] | None:
    """Read and verify the features of ordinary requests; return None if the artifact has none; raises ArtifactError."""
    manifest, path = found.manifest, found.graph_folder / ORDINARY
    if manifest.features is None or ORDINARY not in manifest.files:
        return None
    try:
        data = _verified(path, ordinary.MAX_ORDINARY_BYTES, manifest)
        return ordinary.decode(data, manifest.features.width)
    except BadOrdinary as error:
        raise ArtifactError(f"{path}: {error}; export the classifier again") from error


def read_taught(found: Artifact) -> Taught | None:
    """Read and verify what the described categories were taught; return None if nothing was; raises ArtifactError."""
    manifest, path = found.manifest, found.folder / TAUGHT
    if manifest.features is None or TAUGHT not in manifest.files:
        return None
    try:
        return taught.decode(_verified(path, taught.MAX_TAUGHT_BYTES, manifest), manifest.features.width)
    except BadTaught as error:
        raise ArtifactError(f"{path}: {error}; teach again") from error


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

"""Record the provenance of a result: artifact, data, config, machine, versions, time."""

from __future__ import annotations

import datetime
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from pointsman import __version__
from pointsman.classify.artifact import MANIFEST, Artifact, sha256
from pointsman.classify.cores import usable_cores

LIBRARIES = ("numpy", "onnxruntime", "openvino", "tokenizers")
"""Of these, those loaded by the process are reported."""


@dataclass(frozen=True, slots=True)
class ArtifactId:
    """An artifact; `sha256` is that of its manifest, which contains the hashes of the other files in `files`."""

    name: str
    sha256: str
    files: dict[str, str]
    precision: str
    labels: int
    max_tokens: int
    temperature: float
    suggested_threshold: float | None


@dataclass(frozen=True, slots=True)
class FileId:
    """A file, identified by its name without folder and its content."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Provenance:
    time: str
    artifact: ArtifactId
    against: ArtifactId | None
    data: FileId
    fitted_rows: int
    """Rows of `data` that were left out, since the artifact was fitted on them."""
    config: FileId | None
    machine: dict[str, str | int]
    versions: dict[str, str]


def provenance(
    artifact: Artifact, data: FileId, config: Path | None, against: Artifact | None = None, *, fitted_rows: int = 0
) -> Provenance:
    """Return the provenance of a result; raises OSError if a file no longer exists."""
    return Provenance(
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        artifact=identify(artifact),
        against=None if against is None else identify(against),
        data=data,
        fitted_rows=fitted_rows,
        config=None if config is None else file_id(config),
        machine={"cpu": cpu_model(), "cores": usable_cores(), "system": platform.platform()},
        versions={
            "pointsman": __version__,
            "python": platform.python_version(),
            **{name: module.__version__ for name in LIBRARIES if (module := sys.modules.get(name)) is not None},
        },
    )


def file_id(path: Path) -> FileId:
    """Return the identity of a file; raises OSError."""
    return FileId(path.name, sha256(path))


def identify(artifact: Artifact) -> ArtifactId:
    """Return the identity of an artifact."""
    manifest = artifact.manifest
    return ArtifactId(
        name=artifact.folder.name,
        sha256=sha256(artifact.folder / MANIFEST),
        files=manifest.files,
        precision=manifest.precision,
        labels=len(manifest.labels),
        max_tokens=manifest.max_tokens,
        temperature=manifest.temperature,
        suggested_threshold=manifest.suggested_threshold,
    )


def cpu_model() -> str:
    """Return the processor's name, or else its architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())

"""The files for improving the router, next to the service's other state."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pointsman import files
from pointsman.config import overlay
from pointsman.errors import EvaluationError

if TYPE_CHECKING:
    from pointsman.improve.worklist import WorklistItem

MAX_FILE_BYTES = 256 << 20
# The names of artifacts are times.
MAX_ARTIFACTS = 10
REPORT = "report.json"


def worklist_path() -> Path:
    """Return the file of texts that a person should label."""
    return files.service_state() / "improve" / "worklist.jsonl"


def labels_path() -> Path:
    """Return the file of the labels that were given."""
    return files.service_state() / "improve" / "labels.jsonl"


def report_path() -> Path:
    """Return the file of the report on the last fit that the admin port has started."""
    return files.service_state() / "improve" / REPORT


def artifacts_folder() -> Path:
    """Return the folder of the artifacts that `pointsman fit --labelled` writes."""
    return files.service_state() / "improve" / "artifacts"


def read_worklist(path: Path) -> list[WorklistItem]:
    """Return the texts in a worklist; raises EvaluationError."""
    from pointsman.improve.worklist import WorklistItem  # imports numpy, and `fit` must set its threads first

    try:
        lines = files.read(path, MAX_FILE_BYTES).splitlines()
        return [msgspec.json.decode(line, type=WorklistItem) for line in lines]
    except FileNotFoundError as error:
        raise EvaluationError(f"{path}: there is no worklist; `pointsman collect` writes one") from error
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror})") from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise EvaluationError(f"{path}: no worklist of `pointsman collect` ({error})") from error


def discard(artifact: Path) -> None:
    """Remove an artifact, and the report on its fit next to its folder; raises OSError."""
    gone = artifact.with_name(f".{artifact.name}.discarded")
    artifact.rename(gone)  # so that it disappears from the folder's list at once
    report = artifact.parent.with_name(REPORT)
    with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
        if msgspec.json.decode(files.read(report, MAX_FILE_BYTES), type=_ReportArtifact).artifact == str(artifact):
            report.unlink()
    if gone.is_symlink():
        gone.unlink()
    else:
        shutil.rmtree(gone)


class _ReportArtifact(msgspec.Struct):
    artifact: str = ""


def prune_artifacts(keep: Iterable[Path]) -> list[Path]:
    """Remove the oldest artifacts in that folder beyond MAX_ARTIFACTS, and remains of discarded ones.

    Those that were promoted, and those in `keep`, stay. Return the removed ones.
    """
    known, _ = overlay.read(files.service_state())
    named = [Path(one.path) for one in (known.classifier, *known.former) if one is not None]
    stay = {os.path.realpath(one) for one in (*named, *keep)}
    found = sorted((one for one in artifacts_folder().iterdir() if not one.name.startswith(".")), reverse=True)
    surplus = [one for one in found[MAX_ARTIFACTS:] if os.path.realpath(one) not in stay]
    surplus += artifacts_folder().glob(".*.discarded")
    for one in surplus:
        shutil.rmtree(one, ignore_errors=True)
    return surplus

"""The folder `improve` of a state directory: its files, and the artifacts of fits."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.config import overlay
from pointsman.store import document

# Paths in a state directory.
WORKLIST = Path("improve/worklist.jsonl")
LABELS = Path("improve/labels.jsonl")
REPORT = Path("improve/report.json")
"""The report on the last fit that the admin port has started."""
TEACHING = Path("improve/teaching.jsonl")
"""The answers of the model that was asked."""
TAUGHT = Path("improve/taught.jsonl")
"""The rows that came of it."""
ARTIFACTS = Path("improve/artifacts")
"""The folder of the artifacts that `pointsman fit --labelled` writes; their names are times."""
MAX_REPORT_BYTES = 4 << 20
MAX_ARTIFACTS = 10


class _ReportArtifact(msgspec.Struct):
    artifact: str = ""


def discard(artifact: Path, state: Path) -> None:
    """Remove an artifact of a state directory, and the report on its fit; raises OSError."""
    gone = artifact.with_name(f".{artifact.name}.discarded")
    artifact.rename(gone)  # so that it disappears from the folder's list at once
    report = state / REPORT
    try:
        is_reported = document.read(report, _ReportArtifact, MAX_REPORT_BYTES).artifact == str(artifact)
    except OSError:  # there is none, or it cannot be shown either
        is_reported = False
    if is_reported:
        report.unlink()
    if gone.is_symlink():
        gone.unlink()
    else:
        shutil.rmtree(gone)


def prune_artifacts(keep: Iterable[Path]) -> list[Path]:
    """Remove the oldest artifacts in the state directory beyond MAX_ARTIFACTS, and remains of discarded ones.

    Those that were promoted, and those in `keep`, stay. Return the removed ones.
    """
    state = files.service_state()
    known, _ = overlay.read(state)
    named = [Path(one.path) for one in (known.classifier, *known.former) if one is not None]
    stay = {os.path.realpath(one) for one in (*named, *keep)}
    found = sorted((one for one in (state / ARTIFACTS).iterdir() if not one.name.startswith(".")), reverse=True)
    surplus = [one for one in found[MAX_ARTIFACTS:] if os.path.realpath(one) not in stay]
    surplus += (state / ARTIFACTS).glob(".*.discarded")
    for one in surplus:
        shutil.rmtree(one, ignore_errors=True)
    return surplus

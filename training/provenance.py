"""`python -m training.provenance TRAINING.JSON ARTIFACT`: name all that an artifact was made of.

TRAINING.JSON is the report of the run whose weights were exported; `training.calibration` kept what runs with
`--hold-out` say, on which the artifact is calibrated. training/builtin.json gets all of it, and the artifact's manifest
what identifies it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pointsman.classify import artifact
from pointsman.classify.manifest import Manifest, TrainingInputs
from training.calibration import KEPT, gathered, kept
from training.data import CannotTrain, sha256
from training.record import RECORD


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the record and the manifest and return the exit code: 0, or 3 if they do not belong together."""
    parser = argparse.ArgumentParser(prog="python -m training.provenance", description="Name what it was made of.")
    parser.add_argument("training", type=Path, help="training.json of the run that was exported")
    parser.add_argument("artifact", type=Path, help="folder of the artifact")
    args = parser.parse_args(arguments)
    try:
        name(args.training, args.artifact, RECORD)
    except CannotTrain as reason:
        print(f"provenance: {reason}", file=sys.stderr)
        return 3
    return 0


def name(training: Path, folder: Path, path: Path) -> None:
    """Write the record to `path`, and its identity into the artifact's manifest. Raises CannotTrain."""
    manifest = artifact.load(folder).manifest
    try:
        report = json.loads(training.read_bytes())
    except OSError as error:
        raise CannotTrain(f"{training}: {error.strerror}; name the training.json of a run") from error
    runs = kept(KEPT)
    record = report | {"calibration": [run.about for run in runs]}
    for fault in _faults(record, gathered(runs), manifest):
        raise CannotTrain(f"{training}: {fault}")
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    named = msgspec.structs.replace(manifest, training=identity(record, sha256(path)))
    (folder / artifact.MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(named), indent=2))


def identity(record: dict[str, Any], digest: str) -> TrainingInputs:
    """Return what a manifest says of a record whose SHA-256 is `digest`."""
    return TrainingInputs(
        record=digest,
        seed=record["settings"]["seed"],
        commit=record["commit"],
        python=record["python"],
        versions=record["versions"],
        sha256=record["sha256"],
        held_out={source: run["sha256"] for run in record["calibration"] for source in run["held_out"]},
    )


def _faults(record: dict[str, Any], rows: str, manifest: Manifest) -> list[str]:
    """Return why nobody could make this artifact again by this record and these calibration rows."""
    calibrated = (manifest.verification.get("calibration") or {}).get("sha256")
    checks = {
        f"is of other weights than the artifact, whose source is {manifest.source.sha256[:12]}…": (
            record["weights"] == manifest.source.sha256
        ),
        f"was trained at {record['commit'] or 'no commit'!r}; train it from a clean checkout": (
            re.fullmatch(r"[0-9a-f]{40}", record["commit"]) is not None
        ),
        f"was trained without {', '.join(record['held_out'])}; only a run on all sources ships": not record["held_out"],
        "the artifact was not calibrated on what `training.calibration` wrote last; export it again": (
            hashlib.sha256(rows.encode()).hexdigest() == calibrated
        ),
    }
    return [fault for fault, holds in checks.items() if not holds]


if __name__ == "__main__":
    sys.exit(main())

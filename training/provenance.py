"""`python -m training.provenance TRAINING.JSON ARTIFACT CHECKPOINT...`: name all that an artifact was made of.

TRAINING.JSON is the report of the run whose weights were exported, and each CHECKPOINT a run with `--hold-out` whose
rows the artifact's thresholds are fitted to. training/builtin.json gets all of it, and the artifact's manifest what
identifies it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pointsman.classify import artifact
from pointsman.classify.manifest import Manifest, TrainingInputs
from training.calibration import read_runs
from training.data import CannotTrain, sha256

RECORD = Path(__file__).parent / "builtin.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the record and the manifest and return the exit code: 0, or 3 if they do not belong together."""
    parser = argparse.ArgumentParser(prog="python -m training.provenance", description="Name what it was made of.")
    parser.add_argument("training", type=Path, help="training.json of the run that was exported")
    parser.add_argument("artifact", type=Path, help="folder of the artifact")
    parser.add_argument("checkpoints", type=Path, nargs="*", help="runs with --hold-out that it was calibrated on")
    args = parser.parse_args(arguments)
    try:
        name(args.training, args.artifact, args.checkpoints, RECORD)
    except CannotTrain as reason:
        print(f"provenance: {reason}", file=sys.stderr)
        return 3
    return 0


def name(training: Path, folder: Path, checkpoints: Sequence[Path], path: Path) -> None:
    """Write the record to `path`, and its identity into the artifact's manifest. Raises CannotTrain."""
    manifest = artifact.load(folder).manifest
    try:
        report = json.loads(training.read_bytes())
    except OSError as error:
        raise CannotTrain(f"{training}: {error.strerror}; name the training.json of a run") from error
    held_out = manifest.verification.get("thresholds", {}).get("held_out", {})
    runs = {source: run.about for source, run in read_runs(checkpoints).items() if source in held_out}
    record = report | {"calibration": runs}
    for fault in _faults(record, manifest):
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
        held_out={source: run["sha256"] for source, run in record["calibration"].items()},
    )


def _faults(record: dict[str, Any], manifest: Manifest) -> list[str]:
    """Return why nobody could make this artifact again by this record."""
    runs = {source: {name: run[name] for name in ("rows", "sha256")} for source, run in record["calibration"].items()}
    held_out = manifest.verification.get("thresholds", {}).get("held_out", {})
    checks = {
        f"is of other weights than the artifact, whose source is {manifest.source.sha256[:12]}…": (
            record["weights"] == manifest.source.sha256
        ),
        f"was trained at {record['commit'] or 'no commit'!r}; train it from a clean checkout": (
            re.fullmatch(r"[0-9a-f]{40}", record["commit"]) is not None
        ),
        f"was trained without {', '.join(record['held_out'])}; only a run on all sources ships": not record["held_out"],
        f"the artifact was calibrated on {held_out}, the runs have {runs}; name the same runs": runs == held_out,
    }
    return [fault for fault, holds in checks.items() if not holds]


if __name__ == "__main__":
    sys.exit(main())

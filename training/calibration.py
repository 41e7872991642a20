"""`python -m training.calibration DATA_DIR ARTIFACT CHECKPOINT...`: fit thresholds to sources that were held out.

The last rows of a source are like those before them, on which the classifier was trained, so thresholds fitted to them
promise too much for text of another origin. Each CHECKPOINT is a run with `--hold-out`; its results on the held-out
sources replace the artifact's calibration rows of these. Temperature and suggested threshold stay.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pointsman.classify import artifact, calibration
from pointsman.classify.manifest import CALIBRATION, Manifest
from training.corpus import load_corpus
from training.data import EXAMS, LABELS, CannotTrain, sha256
from training.prompts import OURS

MAX_ROWS_PER_LABEL = 300
"""Rows of a source and label: no source decides alone, though the largest has five times as many of one label."""

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class HeldOutRun:
    """The results of a run on a source that it held out, and their origin."""

    about: dict[str, Any]
    rows: Sequence[Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Replace the rows, print what they are made of, and return the exit code: 0, or 3 if that cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m training.calibration", description="Fit to held-out sources.")
    parser.add_argument("data_dir", type=Path, help="folder with train.jsonl and dev_*.jsonl")
    parser.add_argument("artifact", type=Path, help="folder of the artifact, calibrated on users.jsonl")
    parser.add_argument("checkpoints", type=Path, nargs="+", help="what runs with --hold-out wrote")
    parser.add_argument(
        "--without", metavar="SOURCE", nargs="+", default=[], help="held-out sources to leave as they are"
    )
    args = parser.parse_args(arguments)
    try:
        made_of = recalibrate(args.data_dir, args.artifact, args.checkpoints, args.without)
    except CannotTrain as reason:
        print(f"calibration: {reason}", file=sys.stderr)
        return 3
    print(json.dumps(made_of, indent=1))
    return 0


def recalibrate(
    data_dir: Path, folder: Path, checkpoints: Sequence[Path], without: Collection[str] = ()
) -> dict[str, Any]:
    """Replace the artifact's calibration rows of all held-out sources but those of `without`.

    Returns, by source, the run and its rows. Raises CannotTrain.
    """
    found = artifact.load(folder)
    users = [row for row in load_corpus(data_dir).valid if row.source not in EXAMS | OURS]
    truth = [LABELS.index(row.label) for row in users]
    if found.calibration is None or found.calibration.truth.tolist() != truth:
        raise CannotTrain(f"{folder}: was not calibrated on the {len(users)} rows of users.jsonl; export it again")
    runs = {source: run for source, run in read_runs(checkpoints).items() if source not in without}
    made_of = {source: run.about for source, run in runs.items()}
    rows = [row for run in runs.values() for row in run.rows]
    retained = [row.source not in made_of for row in users]
    said = tempered(np.array([[row["probabilities"][name] for name in LABELS] for row in rows]), found.manifest)
    encoded = calibration.encode(
        np.concatenate([found.calibration.probabilities[retained], said]),
        np.concatenate([found.calibration.truth[retained], [LABELS.index(row["label"]) for row in rows]]),
    )
    (folder / CALIBRATION).write_bytes(encoded)
    verification = found.manifest.verification
    manifest = msgspec.structs.replace(
        found.manifest,
        files={**found.manifest.files, CALIBRATION: sha256(folder / CALIBRATION)},
        verification={
            **verification,
            "thresholds": {
                "rows": sum(retained) + len(rows),
                "held_out": {
                    source: {name: about[name] for name in ("rows", "sha256")} for source, about in made_of.items()
                },
            },
        },
    )
    (folder / artifact.MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=2))
    return made_of


def tempered(probabilities: Floats, manifest: Manifest) -> Floats:
    """Return float probabilities [rows, labels] as the artifact gives them, at its temperature."""
    powers: Floats = np.maximum(probabilities, 1e-7) ** (1 / manifest.temperature)
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def spread(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return at most MAX_ROWS_PER_LABEL rows of each label, evenly spaced."""
    by_label: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        by_label[row["label"]].append(row)
    indices = {
        label: np.linspace(0, len(some) - 1, min(MAX_ROWS_PER_LABEL, len(some))).round()
        for label, some in by_label.items()
    }
    return [by_label[label][int(index)] for label, chosen in indices.items() for index in chosen]


def read_runs(checkpoints: Sequence[Path]) -> dict[str, HeldOutRun]:
    """Return what runs with --hold-out say of each source; raises CannotTrain."""
    runs: dict[str, HeldOutRun] = {}
    for checkpoint in checkpoints:
        report, path = checkpoint / "training.json", checkpoint.with_name(f"{checkpoint.name}.work") / "held-out.jsonl"
        try:
            record = json.loads(report.read_bytes())
            rows = [json.loads(line) for line in path.read_bytes().splitlines()]
        except OSError as error:
            raise CannotTrain(f"{error.filename}: {error.strerror}; name what a run with --hold-out wrote") from error
        for source in record["held_out"]:
            if source in runs:
                raise CannotTrain(f"{report}: {source} was held out by another of the runs as well; name one of them")
            own = spread([row for row in rows if row["source"] == source])
            about = {name: record[name] for name in ("commit", "weights")} | {"rows": len(own), "sha256": sha256(path)}
            runs[source] = HeldOutRun(about, own)
    return runs


if __name__ == "__main__":
    sys.exit(main())

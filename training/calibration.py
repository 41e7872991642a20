"""`python -m training.calibration ROWS.jsonl [CHECKPOINT...]`: gather the rows that an artifact is calibrated on.

The last rows of a source are like those before them, on which the classifier was trained, so a temperature and
thresholds fitted to them promise too much for text of another origin. Each CHECKPOINT is a run with `--hold-out`, and
what it says of the sources that it held out is kept in `training/held-out`, with a hash in place of each text, which is
somebody else's. ROWS.jsonl, for `pointsman export --calibrate`, has all that is kept there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data import CannotTrain, sha256

KEPT = Path(__file__).parent / "held-out"
MAX_ROWS = 150
"""Maximum rows of a source and label: no source decides alone, though the largest has ten times as many of one."""
_ABOUT = ("held_out", "settings", "commit", "weights", "run")


@dataclass(frozen=True, slots=True)
class HeldOutRun:
    """What a run is, and its rows on the sources that it held out; `text` is the SHA-256 of a text."""

    name: str
    about: dict[str, Any]
    rows: tuple[dict[str, Any], ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Keep what runs say, write the rows, and return the exit code: 0, or 3 if a run is missing."""
    parser = argparse.ArgumentParser(prog="python -m training.calibration", description="Gather held-out rows.")
    parser.add_argument("rows", type=Path, help="file to write")
    parser.add_argument("checkpoints", type=Path, nargs="*", help="what runs with --hold-out wrote")
    args = parser.parse_args(arguments)
    try:
        for checkpoint in args.checkpoints:
            keep(checkpoint, KEPT)
    except CannotTrain as reason:
        print(f"calibration: {reason}", file=sys.stderr)
        return 3
    args.rows.write_text(gathered(kept(KEPT)), encoding="utf-8")
    return 0


def keep(checkpoint: Path, folder: Path) -> None:
    """Write what a run with `--hold-out` says to `folder`; raises CannotTrain."""
    report, said = checkpoint / "training.json", checkpoint.with_name(f"{checkpoint.name}.work") / "held-out.jsonl"
    try:
        record, lines = json.loads(report.read_bytes()), said.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise CannotTrain(f"{error.filename}: {error.strerror}; name what a run with --hold-out wrote") from error
    rows = [row | {"text": hash_of(row["text"])} for row in map(json.loads, lines)]
    whole = record["settings"]["share"] == 1
    path = folder / f"{'whole-' if whole else ''}{record['settings']['group']}.jsonl"
    path.write_text(_lines(rows), encoding="utf-8")
    about = {name: record[name] for name in _ABOUT} | {"sha256": sha256(path)}
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def kept(folder: Path, names: str = "[0-9]") -> list[HeldOutRun]:
    """Return the runs that are kept in `folder` under names like these: a group, or `whole-` and a group."""
    paths = sorted(folder.glob(f"{names}.jsonl"))
    return [HeldOutRun(path.stem, json.loads(path.with_suffix(".json").read_bytes()), _rows(path)) for path in paths]


def gathered(runs: Sequence[HeldOutRun]) -> str:
    """Return JSON lines of all rows of these runs, each text once."""
    rows = {row["text"]: row for run in runs for row in run.rows}
    return "".join(f"{json.dumps(row)}\n" for _, row in sorted(rows.items()))


def hash_of(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(path: Path) -> tuple[dict[str, Any], ...]:
    return tuple(map(json.loads, path.read_text(encoding="utf-8").splitlines()))


def _lines(rows: Sequence[dict[str, Any]]) -> str:
    """Return the lines of at most MAX_ROWS of each source and label, those whose text has the least hash."""
    known: Counter[tuple[str, str]] = Counter()
    chosen = []
    for row in sorted(rows, key=lambda row: row["text"]):
        kind = row["source"], row["label"]
        known[kind] += 1
        if known[kind] <= MAX_ROWS:
            chosen.append(json.dumps(row) + "\n")
    return "".join(chosen)


if __name__ == "__main__":
    sys.exit(main())

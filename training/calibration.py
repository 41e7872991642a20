"""`python -m training.calibration ROWS.jsonl CHECKPOINT...`: gather the rows that an artifact is calibrated on.

The last rows of a source are like those before them, on which the classifier was trained, so a temperature and
thresholds fitted to them promise too much for text of another origin. Each CHECKPOINT is a run with `--hold-out`, and
ROWS.jsonl, for `pointsman export --calibrate`, has what these runs say of the sources that they held out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.data import CannotTrain, sha256

MAX_ROWS = 150
"""Maximum rows of a source and label: no source decides alone, though the largest has ten times as many of one."""


@dataclass(frozen=True, slots=True)
class HeldOutRun:
    """What a run is, and its lines on the sources that it held out."""

    about: dict[str, Any]
    lines: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the rows, and return the exit code: 0, or 3 if a run is missing or two held out the same source."""
    parser = argparse.ArgumentParser(prog="python -m training.calibration", description="Gather held-out rows.")
    parser.add_argument("rows", type=Path, help="file to write")
    parser.add_argument("checkpoints", type=Path, nargs="+", help="what runs with --hold-out wrote")
    args = parser.parse_args(arguments)
    try:
        args.rows.write_text(gathered(read_runs(args.checkpoints)), encoding="utf-8")
    except CannotTrain as reason:
        print(f"calibration: {reason}", file=sys.stderr)
        return 3
    return 0


def gathered(runs: Sequence[HeldOutRun]) -> str:
    """Return JSON lines of at most MAX_ROWS of each source and label, by the SHA-256 of their texts."""
    known: Counter[tuple[str, str]] = Counter()
    texts: set[str] = set()
    chosen = []
    for line, row in sorted(_rows(runs), key=lambda each: hashlib.sha256(each[1]["text"].encode()).digest()):
        kind = row["source"], row["label"]
        if known[kind] < MAX_ROWS and row["text"] not in texts:
            known[kind] += 1
            texts.add(row["text"])
            chosen.append(line)
    return "".join(f"{line}\n" for line in chosen)


def read_runs(checkpoints: Sequence[Path]) -> list[HeldOutRun]:
    """Return what runs with `--hold-out` wrote; raises CannotTrain."""
    runs: list[HeldOutRun] = []
    for checkpoint in checkpoints:
        report, path = checkpoint / "training.json", checkpoint.with_name(f"{checkpoint.name}.work") / "held-out.jsonl"
        try:
            record = json.loads(report.read_bytes())
            lines = path.read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise CannotTrain(f"{error.filename}: {error.strerror}; name what a run with --hold-out wrote") from error
        for source in record["held_out"]:
            if any(source in run.about["held_out"] for run in runs):
                raise CannotTrain(f"{report}: {source} was held out by another of the runs as well; name one of them")
        about = {name: record[name] for name in ("held_out", "settings", "commit", "weights")}
        runs.append(HeldOutRun(about | {"sha256": sha256(path)}, tuple(lines)))
    return runs


def _rows(runs: Sequence[HeldOutRun]) -> Iterator[tuple[str, dict[str, Any]]]:
    for run in runs:
        yield from ((line, json.loads(line)) for line in run.lines)


if __name__ == "__main__":
    sys.exit(main())

"""Train without whole sources, to measure text of a new origin; write benchmarks/results/held-out*.json.

One training is without all five sources, and one without each of four alone: over three hours on two cores. WORK has
the checkpoints; a training that was stopped continues, and one that is done is not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from provenance import provenance

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
ALONE = ("banking77", "dolly-openqa", "expertqa", "so-titles")
WITHOUT = {"held-out": (*ALONE, "clinc-smalltalk")} | {f"held-out-{source}": (source,) for source in ALONE}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path, help="folder as training/README.md describes it")
    options = parser.parse_args()
    work, data = options.work.resolve(), options.data.resolve()
    work.mkdir(parents=True, exist_ok=True)
    for name, sources in WITHOUT.items():
        checkpoint = work / name
        if not (checkpoint / "training.json").exists():
            command = [sys.executable, "-m", "training", str(data), "-o", str(checkpoint), "--hold-out", *sources]
            subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONPATH": "export"}, check=True)
        report = json.loads((checkpoint / "training.json").read_text())
        # The training was of its own commit, which may be an earlier one.
        result = report | provenance() | {"commit": report["commit"]}
        (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Evaluate the built-in classifier with `pointsman eval`; write benchmarks/results/accuracy-*.json.

Of the 14 labels, which is the most probable one? On the hand-written prompts of tests/data and, if DATA_DIR is given,
on its dev_mmlu_pro.jsonl.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from provenance import provenance

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, nargs="?")
    data = parser.parse_args().data_dir
    judge("prompts", ROOT / "tests" / "data" / "prompts.jsonl")
    if data is not None:
        judge("dev_mmlu_pro", data / "dev_mmlu_pro.jsonl")


def judge(name: str, file: Path) -> None:
    target = RESULTS / f"accuracy-{name}.json"
    command = [sys.executable, "-m", "pointsman", "eval", "builtin", str(file), "--json", str(target)]
    subprocess.run(command, check=True)
    report = json.loads(target.read_text())
    target.write_text(json.dumps(provenance() | report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

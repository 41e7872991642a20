"""Evaluate the built-in classifier with `pointsman eval`; write benchmarks/results/accuracy-*.json.

The hand-written prompts of tests/data are always evaluated. DATA_DIR, if given, holds dev_mmlu_pro.jsonl,
dev_user_prompts.jsonl (labels technical, medical, legal, general) and dev_out_of_scope.jsonl.
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
CONFIG = ["--config", str(ROOT / "config" / "config.yaml")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path, nargs="?")
    data = parser.parse_args().data_dir
    judge("prompts", ROOT / "tests" / "data" / "prompts.jsonl", [])
    judge("prompts_by_category", ROOT / "tests" / "data" / "prompts.jsonl", CONFIG)
    if data is not None:
        judge("dev_mmlu_pro", data / "dev_mmlu_pro.jsonl", [])
        judge("dev_user_prompts", data / "dev_user_prompts.jsonl", CONFIG)
        judge("dev_out_of_scope", data / "dev_out_of_scope.jsonl", [])
        judge("dev_out_of_scope_by_category", data / "dev_out_of_scope.jsonl", CONFIG)


def judge(name: str, file: Path, options: list[str]) -> None:
    target = RESULTS / f"accuracy-{name}.json"
    command = [sys.executable, "-m", "pointsman", "eval", "builtin", str(file), "--json", str(target), *options]
    subprocess.run(command, check=True)
    report = json.loads(target.read_text())
    target.write_text(json.dumps(provenance() | report, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()

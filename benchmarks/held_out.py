"""Train without groups of sources, and judge what becomes of these; write benchmarks/results/held-out.json.

Five trainings with a quarter of each epoch, and a whole one without the first group, to compare: five hours on two
cores. WORK has the checkpoints; a training that was stopped continues, and one that is done is not repeated. What they
say is routed as the shipped config and the built-in's temperature would.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance
from read_labels import BASE, LabelChoice, LabelledPrompt, judged, sampled, targets_of_labels

from pointsman.classify import artifact
from pointsman.config.load import load
from pointsman.evaluation.scheme import CategoryScheme
from training.held_out import SOURCES

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "held-out.json"
CONFIG = ROOT / "config" / "config.yaml"
LABELS = ("train", "read_labels", "read_prompts")
"""Files with the labels of the rows that are held out."""
SHARE = "0.25"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("data", type=Path, help="folder as training/README.md describes it")
    options = parser.parse_args()
    work, data = options.work.resolve(), options.data.resolve()
    work.mkdir(parents=True, exist_ok=True)
    parts = [trained(work / f"held-{group}", data, group, "--share", SHARE) for group in range(1, len(SOURCES) + 1)]
    whole = trained(work / "whole-1", data, 1)
    also = {row["text"]: row.get("also") or () for name in LABELS for row in _lines(data / f"{name}.jsonl")}
    said = [row for part in parts for row in _lines(part.with_name(f"{part.name}.work") / "held-out.jsonl")]
    compared = [row for row in said if row["source"] in SOURCES[0]]
    whole_said = [*_lines(whole.with_name(f"{whole.name}.work") / "held-out.jsonl")]
    result = {
        "trainings": {part.name: _about(part) for part in (*parts, whole)},
        "set": judge_rows(said, also),
        "first_group": {"a quarter": judge_rows(compared, also), "whole": judge_rows(whole_said, also)},
    }
    RESULT.write_text(json.dumps(provenance() | result, indent=1) + "\n")


def trained(checkpoint: Path, data: Path, group: int, *options: str) -> Path:
    """Return the checkpoint of a training without a group, which is made if it is not there."""
    if not (checkpoint / "training.json").exists():
        command = [sys.executable, "-m", "training", str(data), "-o", str(checkpoint), "--hold-out", str(group)]
        environment = os.environ | {"PYTHONPATH": f"{ROOT / 'export'}:{ROOT / 'daemon'}"}
        subprocess.run([*command, *options], cwd=ROOT, env=environment, check=True)
    return checkpoint


def judge_rows(rows: Sequence[dict[str, Any]], also: dict[str, Sequence[str]]) -> dict[str, Any]:
    """Return the figures of what trainings say of rows that they never saw, as `make bench-choices` has them."""
    config, shipped = load(CONFIG).config, artifact.load(artifact.BUILTIN)
    labels = shipped.manifest.labels
    scheme, where = CategoryScheme(config, labels, shipped.calibration), targets_of_labels(config, labels)
    said = np.array([[row["probabilities"][label] for label in labels] for row in rows])
    powers = np.maximum(said, 1e-7) ** (1 / shipped.manifest.temperature)
    said = powers / powers.sum(axis=1, keepdims=True)
    scores = scheme.scores(said)
    got = [where[scheme.names[at]] for at in scheme.chosen(said, np.ones(len(rows), dtype=bool))]
    prompts = [LabelledPrompt(row["text"], row["source"], (row["label"], *also.get(row["text"], ()))) for row in rows]
    choices = [
        LabelChoice(
            prompt.source,
            tuple(dict.fromkeys(where[label] for label in prompt.labels)),
            name,
            (where[scheme.names[int(score.argmax())]], float(score.max())),
        )
        for prompt, name, score in zip(prompts, got, scores, strict=True)
    ]
    categories = [*(one.name for one in config.categories if where[one.name] != BASE), BASE]
    return {
        "rows": len(sampled(prompts)),
        "of": len(prompts),
        "ways": {"shipped": judged(prompts, choices, categories)},
    }


def _about(checkpoint: Path) -> dict[str, Any]:
    report = json.loads((checkpoint / "training.json").read_text())
    return {name: report[name] for name in ("held_out", "settings", "commit", "weights", "run")}


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    main()

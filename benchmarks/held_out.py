"""Judge what trainings without groups of sources say of these; write benchmarks/results/held-out.json.

`training.calibration` kept it. It is routed as the shipped config and the built-in's temperature would. Of one group,
what a training with a quarter of each epoch says stands beside what a whole one says.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance
from read_labels import BASE, LabelChoice, LabelledPrompt, judged, sampled, targets_of_labels

from pointsman.classify import artifact
from pointsman.config.load import load
from pointsman.evaluation.scheme import CategoryScheme
from training.calibration import KEPT, HeldOutRun, hash_of, kept
from training.data import MAX_CHARACTERS

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "held-out.json"
CONFIG = ROOT / "config" / "config.yaml"
LABELS = ("train", "read_labels", "read_prompts")
"""Files with the labels of the rows that are held out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder as training/README.md describes it")
    data = parser.parse_args().data
    parts, wholes = kept(KEPT), kept(KEPT, "whole-[0-9]")
    also = {
        hash_of(row["text"][:MAX_CHARACTERS]): row.get("also") or ()
        for name in LABELS
        for row in _lines(data / f"{name}.jsonl")
    }
    compared = [part for part in parts if any(part.about["held_out"] == whole.about["held_out"] for whole in wholes)]

    def judged_runs(runs: Sequence[HeldOutRun]) -> dict[str, Any]:
        return judge_rows([row for run in runs for row in run.rows], also)

    result = {
        "trainings": {run.name: run.about for run in (*parts, *wholes)},
        "set": judged_runs(parts),
        "compared": {"a quarter": judged_runs(compared), "whole": judged_runs(wholes)},
    }
    RESULT.write_text(json.dumps(provenance() | result, indent=1) + "\n")


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


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    main()

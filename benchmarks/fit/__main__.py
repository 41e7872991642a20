"""Measure `pointsman fit`: the quality of few rows, and the time for many.

The sets of this folder were written by hand, each description before its first measurement. Files of rows {"text",
"label"}, such as others.py makes, are further sets, without descriptions, for 20 and 100 rows of each label. Writes
benchmarks/results/fit.json and fit.md; without files, the report keeps its former results for such files.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from markdown import table
from provenance import processor, provenance

from pointsman.classify import artifact
from pointsman.evaluation.metrics import Floats, Ints
from pointsman_export.common.encoder import EncoderReader
from pointsman_export.fit.head import fit_heads
from pointsman_export.fit.validation import choose, cross_validate
from relay import cpu

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "fit"
EXAMPLE = HERE.parents[1] / "export" / "examples" / "five-domains.jsonl"
FEW = (5, 8)
MORE = (20, 100)
DRAWS = 5
ROWS, LABELS, NOISE = 5000, 77, 0.1
VERBS = ["open", "close", "move", "cancel", "compare", "repair", "rename"]
NOUNS = [
    "account",
    "ticket",
    "garden",
    "engine",
    "letter",
    "recipe",
    "meeting",
    "camera",
    "contract",
    "server",
    "bicycle",
]
PLACES = ["at home", "for my sister", "in the office", "before Friday", "again", "without help", "as soon as possible"]
FORMS = (
    "how do I {} the {} {}",
    "please {} my {} {}",
    "can you {} this {} {}?",
    "I want to {} a {} {}",
    "why can't I {} the {} {}?",
)


class BuiltinFeatures:
    """The features of texts, by the built-in encoder."""

    def __init__(self) -> None:
        self._reader = EncoderReader(artifact.load(artifact.BUILTIN))

    def __call__(self, texts: list[str]) -> Floats:
        return self._reader.read(texts).features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", metavar="FILE.jsonl", type=Path, nargs="*")
    files: list[Path] = parser.parse_args().rows
    encoder = BuiltinFeatures()
    others = {path.stem: other_rows(path, encoder) for path in files}
    if not files:
        others = json.loads(RESULT.with_suffix(".json").read_text()).get("others", {})
    sets = {path.stem: measured(path, encoder) for path in sorted(HERE.glob("*.yaml"))}
    result = provenance() | {"sets": sets, "others": others, "many_rows": many_rows()}
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
    RESULT.with_suffix(".md").write_text(rendered(result))


def measured(path: Path, encoder: BuiltinFeatures) -> dict[str, Any]:
    """Return the accuracies of one set of prompts."""
    content = yaml.safe_load(path.read_text("utf-8"))
    labels = sorted(content["descriptions"])
    prompts = content.get("prompts") or example()
    texts = [text for label in labels for text in prompts[label]]
    truth = np.array([number for number, label in enumerate(labels) for _ in prompts[label]])
    sentences, features = encoder([content["descriptions"][label] for label in labels]), encoder(texts)
    return {
        "labels": len(labels),
        "prompts": len(texts),
        "few_rows": {few: few_rows(features, truth, sentences, few) for few in FEW},
        "all_rows": float(
            (cross_validate(features, truth, len(labels), 1.0, lambda _: None).predicted == truth).mean()
        ),
    }


def example() -> dict[str, list[str]]:
    """Return the prompts of the example's rows by label."""
    prompts: dict[str, list[str]] = {}
    for row in map(json.loads, EXAMPLE.read_text("utf-8").splitlines()):
        prompts.setdefault(row["label"], []).append(row["text"])
    return prompts


def few_rows(features: Floats, truth: Ints, sentences: Floats, few: int) -> dict[str, float]:
    """Return the mean accuracies of heads of a few rows a label, alone and with the sentences, on the other rows."""
    dice = np.random.default_rng(0)
    labels = len(sentences)
    alone: list[float] = []
    with_descriptions: list[float] = []
    for _ in range(DRAWS):
        order = dice.permutation(len(truth))
        seen = np.concatenate([order[truth[order] == label][:few] for label in range(labels)])
        out = np.setdiff1d(order, seen)
        more, known = np.vstack([features[seen], sentences]), np.append(truth[seen], range(labels))
        for found, rows, answers in ((alone, features[seen], truth[seen]), (with_descriptions, more, known)):
            head = fit_heads(rows, answers, labels, [choose(rows, answers, labels).strength])[0]
            found.append(float((head.logits(features[out]).argmax(axis=1) == truth[out]).mean()))
    return {"alone": float(np.mean(alone)), "with_descriptions": float(np.mean(with_descriptions))}


def other_rows(path: Path, encoder: BuiltinFeatures) -> dict[str, Any]:
    """Return the mean accuracy of heads of MORE rows a label of a file, on all of its other rows."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    labels = sorted({row["label"] for row in rows})
    truth = np.array([labels.index(row["label"]) for row in rows])
    features = encoder([row["text"] for row in rows])
    dice = np.random.default_rng(0)
    accuracy: dict[int, float] = {}
    for each in MORE:
        found = []
        for _ in range(DRAWS):
            order = dice.permutation(len(truth))
            seen = np.concatenate([order[truth[order] == label][:each] for label in range(len(labels))])
            out = np.setdiff1d(order, seen)
            answers = truth[seen]
            head = fit_heads(
                features[seen], answers, len(labels), [choose(features[seen], answers, len(labels)).strength]
            )
            found.append(float((head[0].logits(features[out]).argmax(axis=1) == truth[out]).mean()))
        accuracy[each] = float(np.mean(found))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"labels": len(labels), "rows": len(rows), "sha256": sha256, "accuracy": accuracy}


def many_rows() -> dict[str, float]:
    """Run the command on ROWS made-up rows of LABELS labels, a tenth of them wrong."""
    dice = random.Random(0)
    kinds = [(verb, noun) for verb in VERBS for noun in NOUNS]
    texts: dict[str, str] = {}
    while len(texts) < ROWS:
        verb, noun = dice.choice(kinds)
        label = " ".join(dice.choice(kinds) if dice.random() < NOISE else (verb, noun))
        text = f"{dice.choice(FORMS).format(verb, noun, dice.choice(PLACES))} {dice.randrange(100)}"
        texts.setdefault(text, label)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "rows.jsonl"
        data.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in texts.items()))
        before, start = cpu.of_children(), time.perf_counter()
        command = [sys.executable, "-m", "pointsman", "fit", "--data", str(data), "-o", str(Path(folder) / "fitted")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall, spent = time.perf_counter() - start, cpu.of_children() - before
    return {"rows": ROWS, "labels": LABELS, "cpu_s": round(spent, 1), "wall_s": round(wall, 1)}


def rendered(result: dict[str, Any]) -> str:
    """Return the report as Markdown."""
    many = result["many_rows"]
    rows = [
        [
            name,
            str(found["labels"]),
            str(found["prompts"]),
            *(f"{few['alone']:.2f} ({few['with_descriptions']:.2f})" for few in found["few_rows"].values()),
            f"{found['all_rows']:.2f}",
        ]
        for name, found in result["sets"].items()
    ]
    others = [
        [name, str(found["labels"]), f"{found['rows']:,}", *(f"{value:.3f}" for value in found["accuracy"].values())]
        for name, found in result["others"].items()
    ]
    each = [f"{few} rows each" for few in FEW]
    head = ["prompts", "labels", "rows", *each, "all rows"]
    origin = f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}"
    costs = f"{many['cpu_s']:.0f} s of CPU, {many['wall_s']:.0f} s in all beside other programs"
    lines = [
        "# Training a head",
        "",
        f"`pointsman fit` on the built-in encoder (`make bench-fit`), on {origin}.",
        "",
        "## Few rows",
        "",
        "Accuracy on prompts that are written by hand, of a few rows for each label (in brackets with a sentence about",
        f"each label as a further row; mean of {DRAWS} draws, judged by the other rows), and of all rows",
        "(cross-validation).",
        "",
        *table(head, rows),
        "",
        "## Rows of others",
        "",
        "Accuracy of so many rows of each label on all other rows of a set that nothing was trained on; the layers",
        f"that a head reads were chosen by it, too. Mean of {DRAWS} draws (targets for hwu64: 0.90 and 0.92). hwu64 is",
        "a fold of NLU-Evaluation-Data (xliuhw, CC BY 4.0), both its sets, with its scenarios as labels.",
        "",
        *table(["set", "labels", "rows", *(f"{each} each" for each in MORE)], others),
        "",
        "## Many rows",
        "",
        f"{many['rows']:,} made-up rows of {many['labels']} labels, a tenth of them wrong: {costs} (target: 60 s).",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

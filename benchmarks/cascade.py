"""Measure a cascade against each of its artifacts alone: where texts go, and what that costs; write results/cascade.*.

Each text is routed by itself through the classifier as it serves, without its cache. The rows are the hand-written
prompts of tests/data and, of DATA_DIR, dev_mmlu_pro and two sets by labels that were read; neither artifact was trained
on them.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from choices import DEADLINE_MS, chosen
from markdown import table
from provenance import processor, provenance
from read_labels import PROMPTS, Row, judge, read, sets

from pointsman.classify import artifact
from pointsman.classify.cascade import Cascade
from pointsman.classify.classifier import Classifier
from pointsman.classify.manifest import MODEL
from pointsman.classify.text_classifier import TextClassifier
from pointsman.config.load import load
from pointsman.config.model import Config
from pointsman.config.options.classifier import CascadeOptions

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "cascade"
BOUNDS = (0.8, 0.9, 0.95, 0.99)
"""Values of `cascade.sure_from`."""
READ = ("dev_user_prompts", "dev_out_of_scope")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", help="the artifact that is asked first: a folder, or `builtin`")
    parser.add_argument("larger", help="the artifact that is asked where the first is not sure")
    parser.add_argument("data_dir", type=Path, nargs="?")
    args = parser.parse_args()
    rows = {"prompts": read(PROMPTS)}
    if args.data_dir is not None:
        rows["dev_mmlu_pro"] = read(args.data_dir / "dev_mmlu_pro.jsonl")
        rows |= {name: some for name, some in sets(args.data_dir).items() if name in READ}
    config = load(ROOT / "config" / "config.yaml").config
    options = dataclasses.replace(config.pointsman.classifier, cache_entries=0, deadline_ms=DEADLINE_MS)
    artifacts = [artifact.load(artifact.resolve(name, Path.cwd())) for name in (args.first, args.larger)]
    with closing(Classifier(artifacts[0], options)) as first, closing(Classifier(artifacts[1], options)) as larger:
        found = {name: asyncio.run(measured(config, first, larger, some)) for name, some in rows.items()}
    result = provenance() | {
        "artifacts": {
            name: {"folder": one.folder.name, "sha256": one.manifest.files[MODEL]}
            for name, one in zip(("first", "larger"), artifacts, strict=True)
        },
        "sets": found,
    }
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(rendered(result)) + "\n")


async def measured(config: Config, first: Classifier, larger: Classifier, rows: Sequence[Row]) -> dict[str, Any]:
    """Return the figures of each way to classify the rows."""
    ways: dict[str, tuple[TextClassifier, float]] = {"first": (first, 0.0), "larger": (larger, 0.0)}
    ways |= {f"cascade, {bound:g}": (Cascade(first, larger, DEADLINE_MS / 1000), bound) for bound in BOUNDS}
    found = {name: await figures(_with(config, bound), classifier, rows) for name, (classifier, bound) in ways.items()}
    return {"rows": len(rows), "ways": found}


def _with(config: Config, bound: float) -> Config:
    cascade = CascadeOptions(model_id="larger", sure_from=bound)
    classifier = dataclasses.replace(config.pointsman.classifier, cascade=cascade)
    return dataclasses.replace(config, pointsman=dataclasses.replace(config.pointsman, classifier=classifier))


async def figures(config: Config, classifier: TextClassifier, rows: Sequence[Row]) -> dict[str, float]:
    """Route each row alone; return where they went, how many were passed on, and the CPU time of a text."""
    before, passed = time.process_time(), classifier.passed.texts
    choices = await chosen(config, classifier, rows)
    seconds = time.process_time() - before
    found = judge(choices, ())["figures"]
    return {
        "right_model": _share(found["right"]),
        "adapter_precision": _share(found["precision"]),
        "adapters_reached": _share(found["reach"]),
        "passed_on": (classifier.passed.texts - passed) / len(rows),
        "cpu_ms": seconds / len(rows) * 1000,
    }


def _share(figure: dict[str, Any]) -> float:
    rows = figure["all"]["rows"]
    return math.nan if rows is None else rows["share"]


def rendered(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    first, larger = (result["artifacts"][name] for name in ("first", "larger"))
    yield from [
        "# A cascade against each artifact alone",
        "",
        "Rows that neither artifact was trained on, routed one by one by the categories of config/config.yaml (`make",
        f"bench-cascade`). The first artifact is `{first['folder']}`, the built-in classifier of an earlier release;",
        f"the larger one is `{larger['folder']}`.",
        "",
        "A cascade has its `sure_from` beside it. Right: sent to an acceptable model. Precision: of the rows that went",
        "to an adapter, those for which it is acceptable. Reached: of those for which one adapter alone is acceptable,",
        "those that went there. [The labels](choices.md) of dev_user_prompts and dev_out_of_scope were read. CPU: of",
        "all threads for a text, with finding the ask and the decision. If the larger one costs N times that of the",
        "first, a cascade that passes on a share p costs 1 + pN, and the larger one alone N. In",
        f"these sets N is {_costs(result)}; with N = 10 and p = 0.25 a cascade would cost 3.5 instead of 10.",
        "",
        f"{processor(result['machine'])}, onnxruntime {result['versions']['onnxruntime']}, commit {result['commit']}.",
    ]
    for name, one in result["sets"].items():
        yield from ["", f"## {name}: {one['rows']} rows", ""]
        head = ["answered by", "right", "precision", "reached", "passed on", "CPU ms"]
        yield from table(head, [[way, *_cells(found)] for way, found in one["ways"].items()])


def _costs(result: dict[str, Any]) -> str:
    """Return how many times the CPU of the first artifact the larger one takes, over the sets."""
    ways = [one["ways"] for one in result["sets"].values()]
    times = [one["larger"]["cpu_ms"] / one["first"]["cpu_ms"] for one in ways]
    return f"{min(times):.1f} to {max(times):.1f}"


def _cells(found: dict[str, float]) -> list[str]:
    shares = (found[name] for name in ("right_model", "adapter_precision", "adapters_reached", "passed_on"))
    return [*("-" if np.isnan(share) else f"{share:.3f}" for share in shares), f"{found['cpu_ms']:.2f}"]


if __name__ == "__main__":
    main()

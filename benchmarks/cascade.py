"""Measure a cascade against each of its artifacts alone: where texts go, and what that costs; write results/cascade.*.

Each text is routed by itself through the classifier as it serves, without its cache. The rows are the hand-written
prompts of tests/data and, of DATA_DIR, the files that `benchmarks/accuracy.py` reads; neither artifact was trained on
them.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from markdown import table
from provenance import processor, provenance

from pointsman.adapters.catalog import Served
from pointsman.classify import artifact
from pointsman.classify.cascade import Cascade
from pointsman.classify.classifier import Classifier
from pointsman.classify.manifest import MODEL
from pointsman.classify.text_classifier import TextClassifier
from pointsman.config.load import load
from pointsman.config.model import Config
from pointsman.config.options.classifier import CascadeOptions
from pointsman.evaluation.dataset import Row, read_rows
from pointsman.evaluation.scheme import Categories
from pointsman.routing.formats import CHAT
from pointsman.routing.router import Router

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "cascade"
BOUNDS = (0.8, 0.9, 0.95, 0.99)
"""Values of `cascade.sure_from`."""
DEADLINE_MS = 60_000
"""So long that a busy machine changes no decision."""
SETS = ("dev_mmlu_pro", "dev_user_prompts", "dev_out_of_scope")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", help="the artifact that is asked first: a folder, or `builtin`")
    parser.add_argument("larger", help="the artifact that is asked where the first is not sure")
    parser.add_argument("data_dir", type=Path, nargs="?")
    args = parser.parse_args()
    files = [ROOT / "tests" / "data" / "prompts.jsonl"]
    if args.data_dir is not None:
        files += [args.data_dir / f"{name}.jsonl" for name in SETS]
    config = load(ROOT / "config" / "config.yaml").config
    options = dataclasses.replace(config.pointsman.classifier, cache_entries=0, deadline_ms=DEADLINE_MS)
    artifacts = [artifact.load(artifact.resolve(name, Path.cwd())) for name in (args.first, args.larger)]
    with closing(Classifier(artifacts[0], options)) as first, closing(Classifier(artifacts[1], options)) as larger:
        sets = {file.stem: asyncio.run(measured(config, first, larger, file)) for file in files}
    result = provenance() | {
        "artifacts": {
            name: {
                "folder": one.folder.name,
                "sha256": one.manifest.files[MODEL],
                "calibrated": one.calibration is not None,
            }
            for name, one in zip(("first", "larger"), artifacts, strict=True)
        },
        "sets": sets,
    }
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(rendered(result)) + "\n")


async def measured(config: Config, first: Classifier, larger: Classifier, file: Path) -> dict[str, Any]:
    """Return the figures of each way to classify the rows of a file."""
    ways: dict[str, tuple[TextClassifier, float]] = {"first": (first, 0.0), "larger": (larger, 0.0)}
    ways |= {f"cascade, {bound:g}": (Cascade(first, larger, DEADLINE_MS / 1000), bound) for bound in BOUNDS}
    found: dict[str, Any] = {}
    for name, (classifier, bound) in ways.items():
        scheme = Categories(config, classifier.labels)
        rows = read_rows(file, scheme)
        found[name] = await figures(_with(config, bound), classifier, scheme, rows)
    return {"rows": len(rows), "ways": found}


def _with(config: Config, bound: float) -> Config:
    cascade = CascadeOptions(model_id="larger", sure_from=bound)
    classifier = dataclasses.replace(config.pointsman.classifier, cascade=cascade)
    return dataclasses.replace(config, pointsman=dataclasses.replace(config.pointsman, classifier=classifier))


async def figures(
    config: Config, classifier: TextClassifier, scheme: Categories, rows: Sequence[Row]
) -> dict[str, float]:
    """Route each row alone; return where they went, how many were passed on, and the CPU time of a text."""
    router = Router(config, classifier, Served)
    parsed = [CHAT.parse(row.body, router.finder) for row in rows]
    before, passed = time.process_time(), classifier.passed.texts
    routed = [await router.route(one, remember=False) for one in parsed]
    seconds = time.process_time() - before
    models = np.array(scheme.models())
    sent = models[scheme.classes([one.decision.category for one in routed])]
    outside = scheme.classes([None])[0]
    wanted = models[[outside if row.truth is None else row.truth for row in rows]]
    adapters, right = sent != config.default_model, sent == wanted
    due = wanted != config.default_model
    return {
        "right_model": float(right.mean()),
        "adapter_precision": float(right[adapters].mean()) if adapters.any() else float("nan"),
        "adapters_reached": float(right[due].mean()) if due.any() else float("nan"),
        "passed_on": (classifier.passed.texts - passed) / len(rows),
        "cpu_ms": seconds / len(rows) * 1000,
    }


def rendered(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    first, larger = (result["artifacts"][name] for name in ("first", "larger"))
    yield from [
        "# A cascade against each artifact alone",
        "",
        "Rows that neither artifact was trained on, routed one by one by the categories of config/config.yaml (`make",
        f"bench-cascade`). The first artifact is `{first['folder']}` ({_rows(first)}), the built-in",
        f"classifier of an earlier release, the larger one is `{larger['folder']}` ({_rows(larger)}).",
        "",
        "A cascade has its `sure_from` beside it. Right: sent to the model of its label. Precision: of the rows that",
        "went to an adapter, those that belong there. Reached: of those that belong to an adapter, those that went",
        "there. CPU: of all threads for a text, with finding the ask and the decision. If the larger one costs N",
        "times that of the first, a cascade that passes on a share p costs 1 + pN, and the larger one alone N. In",
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


def _rows(one: dict[str, Any]) -> str:
    return "thresholds fitted to its calibration rows" if one["calibrated"] else "without calibration rows"


def _cells(found: dict[str, float]) -> list[str]:
    shares = (found[name] for name in ("right_model", "adapter_precision", "adapters_reached", "passed_on"))
    return [*("-" if np.isnan(share) else f"{share:.3f}" for share in shares), f"{found['cpu_ms']:.2f}"]


if __name__ == "__main__":
    main()

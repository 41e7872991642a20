"""Compare the models that labeled prompts get with those that they should get; write choices.json and .md.

Writes to benchmarks/results. Each prompt is routed by itself, by the router and the classifier that serve. DATA_DIR has
read_labels.jsonl, read_out_of_scope.jsonl and read_prompts.jsonl; the hand-written prompts of tests/data are judged,
too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from markdown import table
from provenance import processor, provenance
from read_labels import (
    BASE,
    FIGURES,
    FILES,
    MAX_ROWS,
    MIN_ROWS,
    OTHER,
    PROMPTS,
    LabelChoice,
    LabelledPrompt,
    choice,
    judged,
    of_all,
    sampled,
    sets,
    targets_of_labels,
)

from pointsman.adapters.catalog import ServedModels
from pointsman.classify import artifact
from pointsman.classify.classifier import Classifier
from pointsman.classify.encoder import Encoder
from pointsman.config.load import load
from pointsman.config.model import Config
from pointsman.evaluation.provenance import file_id, identify
from pointsman.formats import CHAT
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import Router
from pointsman.routing.threshold_problems import as_before
from pointsman.routing.thresholds import thresholds

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "choices"
CONFIG = ROOT / "config" / "config.yaml"
DEADLINE_MS = 60_000
"""Long enough that a busy machine changes no decision."""
WAYS = ("shipped", "former")
TITLES = {
    "prompts": "hand-written prompts",
    "dev_user_prompts": "dev_user_prompts",
    "dev_out_of_scope": "dev_out_of_scope",
    "read_prompts": "read_prompts",
}
ABOUT = (
    "A language model read each prompt and labelled what is asked; these are not human labels. It read",
    "dev_user_prompts twice and independently (in that file, which has other rows, too, the two agree on 96 % of the",
    "14 labels), dev_out_of_scope and read_prompts once. Where several labels would do, each is right. The",
    "hand-written prompts have their authors' labels.",
    "",
    "- **Right**: of the rows whose label is of the category, the share that gets an acceptable model.",
    "- **Reach**: of the rows for which one adapter alone is acceptable, the share that gets it. The rest is one",
    "  error: the base model answers in its place, seldom another adapter.",
    "- **Precision**: of the rows that get an adapter, the share for which it is acceptable. The rest is the other",
    "  error: an adapter answers what is not its subject.",
    "",
    f"Of a source and label at most {MAX_ROWS} rows count, the first by the SHA-256 of their texts. That leaves out",
    "rows of the base model above all, so precision is lower where all rows count. A mean is over the sources that",
    f"have at least {MIN_ROWS} rows in it. An interval is the 95 % interval for other rows of the same sources: text",
    "of another source may be outside of it.",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    data = parser.parse_args().data_dir
    found = asyncio.run(measured(sets(data)))
    files = [PROMPTS, CONFIG, *(data / f"{name}.jsonl" for name in FILES)]
    result = provenance() | {"files": {one.name: one.sha256 for one in map(file_id, files)}} | found
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(rendered(result)) + "\n")


async def measured(rows: dict[str, list[LabelledPrompt]]) -> dict[str, Any]:
    """Return the figures of sets of rows, by the shipped classifier and config, and by the former thresholds."""
    config, shipped = load(CONFIG).config, artifact.load(artifact.BUILTIN)
    ways = {"shipped": config, "former": as_before(config, keeps_common=False)}
    labels = shipped.manifest.labels
    options = replace(config.pointsman.classifier, deadline_ms=DEADLINE_MS)
    where = targets_of_labels(config, labels)
    categories = [*(category.name for category in config.categories if where[category.name] != BASE), BASE]
    with closing(Encoder(shipped, options)) as encoder:
        classifier = Classifier(encoder, shipped)
        return {
            "artifact": asdict(identify(shipped)),
            "thresholds": {
                way: {name: one.value for name, one in thresholds(made, labels, shipped.calibration).items()}
                for way, made in ways.items()
            },
            "categories": categories,
            "sets": {
                name: {
                    "rows": len(sampled(some)),
                    "of": len(some),
                    "ways": {
                        way: judged(some, await chosen(made, classifier, some), categories)
                        for way, made in ways.items()
                    },
                }
                for name, some in rows.items()
            },
        }


async def chosen(config: Config, classifier: Classifier, rows: Sequence[LabelledPrompt]) -> list[LabelChoice]:
    """Return what each row gets where it is a request of its own."""
    router, where = Router(config, classifier, ServedModels), targets_of_labels(config, classifier.labels)
    parsed = [parse_request(CHAT, row.body, router.finder) for row in rows]
    routed = [await router.route(one, remember=False) for one in parsed]
    return [choice(row, one.decision, where) for row, one in zip(rows, routed, strict=True)]


def rendered(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from [
        "# Which model a prompt gets",
        "",
        "By the built-in classifier and `config/config.yaml`, on rows that the weights were not trained on (`make",
        f"bench-choices`). {processor(result['machine'])}, onnxruntime {result['versions']['onnxruntime']}, commit",
        f"{result['commit']}.",
        "",
        *ABOUT,
        "",
        *table(["thresholds", *result["categories"][:-1]], _thresholds(result)),
    ]
    for name, one in result["sets"].items():
        yield from ["", f"## {title(name, one)}", "", *_by_category(result["categories"], one)]
        yield from ["", *_errors(one), *_by_source(one)]


def _thresholds(result: dict[str, Any]) -> Iterator[list[str]]:
    for way, values in result["thresholds"].items():
        yield [way, *(f"{values[name]:.3g}" for name in result["categories"][:-1])]


def title(name: str, one: dict[str, Any]) -> str:
    """Return the name of a set, and how many rows of how many sources were judged."""
    taken = f"{one['rows']:,} of {one['of']:,}" if limited(one) else f"{one['rows']:,}"
    count = len(_sources(one))
    return f"{TITLES[name]}, {taken} rows" + (f" of {count} sources" if count > 1 else "")


def overall(one: dict[str, Any], way: str, figure: str) -> dict[str, float]:
    """Return the mean of a figure over the sources of a set; of a single source, its share."""
    return of_all(one["ways"][way]["figures"][figure]["all"])


def limited(one: dict[str, Any]) -> bool:
    """Return whether a set has more rows than are judged."""
    return bool(one["rows"] < one["of"])


def _sources(one: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = one["ways"]["shipped"]["figures"]["right"]["all"]["sources"]
    return found


def _by_category(categories: Sequence[str], one: dict[str, Any]) -> list[str]:
    several = len(_sources(one)) > 1
    rows = []
    for category in categories:
        rows.append([category, *_cells(one, category, "rows")])
        if any(" sources" in found for found in _cells(one, category, "mean")):
            rows.append([f"{category}, mean", *_cells(one, category, "mean")])
    rows.append([f"**all{', mean' * several}**", *(cell(overall(one, way, each)) for each in FIGURES for way in WAYS)])
    if limited(one):
        unlimited = [one["ways"][way]["unlimited"][figure] for figure in FIGURES for way in WAYS]
        rows.append(["the same, of all rows", *map(cell, unlimited)])
    return table(["", *(each for figure in FIGURES for each in (figure, "former thresholds"))], rows)


def _cells(one: dict[str, Any], category: str, kind: str) -> list[str]:
    return [cell(one["ways"][way]["figures"][figure][category][kind]) for figure in FIGURES for way in WAYS]


def cell(found: dict[str, float] | None) -> str:
    """Return a share or a mean with its interval, and of how many it is."""
    if found is None:
        return ""
    of = f"{found['part']} of {found['whole']}" if "whole" in found else f"{found['sources']} source"
    of += "s" * (found.get("sources", 1) > 1)
    return f"{found['share']:.3f} ({found['low']:.3f} to {found['high']:.3f}), {of}"


def few_sources(one: dict[str, Any], category: str) -> str:
    """Return by how many rows of which sources the reach of a category is judged."""
    found = one["ways"]["shipped"]["figures"]["reach"][category]["sources"]
    rows = sorted(((each["whole"], source) for source, each in found.items()), reverse=True)
    return ", ".join(f"{source} {count}" for count, source in rows) or "no row"


def _errors(one: dict[str, Any]) -> list[str]:
    lost, astray = (
        {part: " and ".join(str(one["ways"][way]["errors"][kind][part]) for way in WAYS) for part in (BASE, OTHER)}
        for kind in ("lost", "astray")
    )
    return [
        "Errors, with the shipped and with the former thresholds:",
        "",
        f"- of the rows of one adapter alone, {lost[BASE]} get the base model, {lost[OTHER]} another adapter",
        f"- of the rows at an adapter, {astray[BASE]} are the base model's, {astray[OTHER]} another adapter's",
        "",
        f"Legal rests on few sources. Rows for its reach: {few_sources(one, 'legal')}.",
    ]


def _by_source(one: dict[str, Any]) -> list[str]:
    if len(_sources(one)) == 1:
        return []
    figures = [one["ways"]["shipped"]["figures"][figure]["all"]["sources"] for figure in FIGURES]
    rows = [[source, *(cell(sources.get(source)) for sources in figures)] for source in _sources(one)]
    return ["", *table(["source", *FIGURES], rows)]


if __name__ == "__main__":
    main()

"""Compare the models that labeled prompts get with those that they should get; write choices.json and .md.

Writes to benchmarks/results. Each prompt is routed by itself, by the router that serves, with the built-in classifier
and with that of FORMER, an artifact's folder. DATA has read_labels.jsonl and read_out_of_scope.jsonl; the prompts of
benchmarks/judges and tests/data are judged, too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
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
    JUDGES,
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

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "choices"
CONFIG = ROOT / "config" / "config.yaml"
DEADLINE_MS = 60_000
"""Long enough that a busy machine changes no decision."""
WAYS = ("shipped", "former")
SHOWN, MAX_MISSES = ("judges", "shipped"), 50
"""A set and a way, and how many of its misses the page shows."""
TITLES = {
    "judges": "prompts that nobody tuned to",
    "prompts": "hand-written prompts",
    "dev_user_prompts": "dev_user_prompts",
    "dev_out_of_scope": "dev_out_of_scope",
}
ABOUT = (
    "The prompts that nobody tuned to, and the hand-written ones, have their authors' labels. A language model read",
    "each prompt of the other sets and labeled what is asked, dev_user_prompts twice and independently (in that file,",
    "which has other rows, too, the two agree on 96 % of the 14 labels), dev_out_of_scope once; these are not human",
    "labels. Where several labels would do, each is right.",
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
    parser.add_argument("data", type=Path)
    parser.add_argument("former", type=Path)
    options = parser.parse_args()
    data, folders = options.data, dict(zip(WAYS, (artifact.BUILTIN, options.former), strict=True))
    found = asyncio.run(measured(sets(data), folders))
    files = {str(path.relative_to(ROOT)): path for path in (JUDGES, PROMPTS, CONFIG)}
    files |= {f"{name}.jsonl": data / f"{name}.jsonl" for name in FILES}
    result = provenance() | {"files": {name: file_id(path).sha256 for name, path in files.items()}} | found
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(rendered(result)) + "\n")


async def measured(rows: Mapping[str, list[LabelledPrompt]], folders: Mapping[str, Path]) -> dict[str, Any]:
    """Return the figures of sets of rows by the shipped config with each of these artifacts, and misses."""
    config = load(CONFIG).config
    made = {way: await choices_of(config, folder, rows) for way, folder in folders.items()}
    where = targets_of_labels(config, artifact.load(artifact.BUILTIN).manifest.labels)
    categories = [*(category.name for category in config.categories if where[category.name] != BASE), BASE]
    return {
        "artifacts": {way: asdict(identify(artifact.load(folder))) for way, folder in folders.items()},
        "categories": categories,
        "sets": {
            name: {
                "rows": len(sampled(some)),
                "of": len(some),
                "ways": {way: judged(some, found[name], categories) for way, found in made.items()},
            }
            for name, some in rows.items()
        },
        "misses": [
            {"text": row.text, "wanted": one.wanted, "got": one.got}
            for row, one in zip(rows.get(SHOWN[0], ()), made[SHOWN[1]].get(SHOWN[0], ()), strict=True)
            if not one.right
        ],
    }


async def choices_of(
    config: Config, folder: Path, rows: Mapping[str, list[LabelledPrompt]]
) -> dict[str, list[LabelChoice]]:
    """Return what each row of each set gets by an artifact."""
    made = artifact.load(folder)
    options = replace(config.pointsman.classifier, deadline_ms=DEADLINE_MS)
    with closing(Encoder(made, options)) as encoder:
        classifier = Classifier(encoder, made)
        return {name: await chosen(config, classifier, some) for name, some in rows.items()}


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
        "By the built-in classifier, beside that of release 0.1, and `config/config.yaml`, on rows that the",
        f"built-in was not trained on (`make bench-choices`). {processor(result['machine'])}, onnxruntime",
        f"{result['versions']['onnxruntime']}, commit {result['commit']}.",
        "",
        *ABOUT,
    ]
    for name, one in result["sets"].items():
        yield from ["", f"## {title(name, one)}", "", *_by_category(result["categories"], one)]
        yield from ["", *_errors(one), *_by_source(one)]
    yield from _misses(result["misses"])


def _misses(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield from ["", f"## Misses of the {TITLES[SHOWN[0]]}, as they read", ""]
    rows = [[_one_line(miss["text"]), " or ".join(miss["wanted"]), miss["got"]] for miss in found[:MAX_MISSES]]
    yield from table(["prompt", "wanted", "got"], rows)


def _one_line(text: str) -> str:
    shown = " ".join(text.split()).replace("|", "\\|")
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


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
    return table(["", *(each for figure in FIGURES for each in (figure, "former built-in"))], rows)


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
        "Errors, by the built-in and by the former one:",
        "",
        f"- of the rows of one adapter alone, {lost[BASE]} get the base model, {lost[OTHER]} another adapter",
        f"- of the rows at an adapter, {astray[BASE]} are the base model's, {astray[OTHER]} another adapter's",
        "",
        f"Rows for the reach of legal, which rests on few sources: {few_sources(one, 'legal')}.",
    ]


def _by_source(one: dict[str, Any]) -> list[str]:
    if len(_sources(one)) == 1:
        return []
    figures = [one["ways"]["shipped"]["figures"][figure]["all"]["sources"] for figure in FIGURES]
    rows = [[source, *(cell(sources.get(source)) for sources in figures)] for source in _sources(one)]
    return ["", *table(["source", *FIGURES], rows)]


if __name__ == "__main__":
    main()

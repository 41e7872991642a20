"""Route prompts to fleets of adapters that only texts describe: python benchmarks/fleets.py FLEETS.json

Writes benchmarks/results/fleets.json and .md. FLEETS.json has fleets of adapters, each with a description, six examples
and prompts, and prompts that belong to none. The service of this checkout decides, at its default threshold, over its
port; beside it the same service with the artifacts that `pointsman fit` makes of the same texts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import aiohttp
from markdown import table
from provenance import processor, provenance

from pointsman.evaluation.provenance import file_id
from support.daemon import run_daemon

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fleets"
BASE = "base"
WAYS = {
    "one sentence": "descriptions in the config",
    "one sentence, fit": "`fit --describe`, at a threshold of 0.4",
    "six examples": "descriptions and six examples in the config",
    "six examples, fit": "`fit`, at a threshold of 0.4",
}
FIT_THRESHOLD = 0.4
"""`fit --describe` suggests none, and at 0.5 it sends hardly anything."""
LANGUAGES = "en,de,es,fr,it"
"""Those of the fleets; `fit` refuses rows in others than the base declares."""
Fleet = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fleets", type=Path)
    options = parser.parse_args()
    fleets = json.loads(options.fleets.read_text())["fleets"]
    rows = [
        {"fleet": fleet["name"], "way": way} | asyncio.run(measured(way, fleet)) for fleet in fleets for way in WAYS
    ]
    result = provenance() | {"data": asdict(file_id(options.fleets)), "rows": rows}
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(page(result)) + "\n")


async def measured(way: str, fleet: Fleet) -> dict[str, int]:
    """Return the counts of prompts and outsiders, and of those that got the right model, or another adapter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            run_daemon(config(way, fleet, folder), folder, env={"STATE_DIRECTORY": name}) as daemon,
            aiohttp.ClientSession(daemon.base_url) as http,
        ):
            wanted = [adapter["name"] for adapter in fleet["adapters"] for _ in adapter["tests"]]
            found = [await routed(http, text) for adapter in fleet["adapters"] for text in adapter["tests"]]
            others = [await routed(http, text) for text in fleet["outside"]]
    return {
        "prompts": len(found),
        "right": sum(map(str.__eq__, found, wanted)),
        "missed": found.count(BASE),
        "outsiders": len(others),
        "kept": others.count(BASE),
    }


async def routed(http: aiohttp.ClientSession, text: str) -> str:
    """Return the model that a prompt gets; one that the busy host was too late for is asked again."""
    while True:
        async with http.post("/v1/route", json={"messages": [{"role": "user", "content": text}]}) as response:
            response.raise_for_status()
            decision = (await response.json())["decision"]
        if decision["reason"] not in ("deadline", "overloaded"):
            return str(decision["model"])


def config(way: str, fleet: Fleet, folder: Path) -> dict[str, Any]:
    """Return the config of a way; `fit` writes its artifact into the folder."""
    with_examples, fitted = way.startswith("six"), way.endswith("fit")
    model = {"model_id": str(fit(fleet, folder, with_examples)), "threshold": FIT_THRESHOLD} if fitted else {}
    names = [adapter["name"] for adapter in fleet["adapters"]]
    texts = [
        {"description": adapter["description"]} | ({"examples": adapter["examples"]} if with_examples else {})
        for adapter in fleet["adapters"]
    ]
    return {
        "classifier": {"category_model": model},
        "vllm_endpoints": [{"name": "vllm", "address": "127.0.0.1", "port": 9}],
        "default_model": BASE,
        "model_config": {BASE: {"loras": [{"name": name} for name in names]}},
        "categories": [
            {"name": name, "model_scores": [{"model": BASE, "lora_name": name, "use_reasoning": False}]}
            | ({} if fitted else described)
            for name, described in zip(names, texts, strict=True)
        ],
        "pointsman": {"adapters": {"poll_interval_ms": 0}},
    }


def fit(fleet: Fleet, folder: Path, with_examples: bool) -> Path:
    rows = [{"text": adapter["description"], "label": adapter["name"]} for adapter in fleet["adapters"]]
    if with_examples:
        rows = [
            {"text": text, "label": adapter["name"]} for adapter in fleet["adapters"] for text in adapter["examples"]
        ]
    data, made = folder / "rows.jsonl", folder / "fitted"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = "--data" if with_examples else "--describe"
    command = [sys.executable, "-m", "pointsman", "fit", given, str(data), "-o", str(made), "--languages", LANGUAGES]
    subprocess.run(command, check=True, capture_output=True)
    return made


def page(result: dict[str, Any]) -> Iterator[str]:
    yield "# Adapters that only texts describe"
    yield ""
    yield "`make bench-fleets`: prompts for fleets of invented adapters (tasks, subjects, personas, languages), by"
    yield "writers who did not see the code, each routed by a running service at its default threshold; beside it what"
    yield "`pointsman fit` makes of the same texts. *Right*: the adapter that the prompt was written for; *missed*: the"
    yield "base model instead; *wrong*: another adapter. *Kept*: of the prompts that belong to no adapter, those that"
    yield f"the base model gets. {processor(result['machine'])}, commit {result['commit']}."
    yield ""
    yield from table(
        ("way", "fleet", "prompts", "right", "missed", "wrong", "outsiders", "kept"), cells(result["rows"])
    )


def cells(rows: list[dict[str, Any]]) -> Iterator[list[str]]:
    for way, meant in WAYS.items():
        of_way = [row for row in rows if row["way"] == way]
        counted = ("prompts", "right", "missed", "outsiders", "kept")
        total = {name: sum(row[name] for row in of_way) for name in counted}
        for row in [{"fleet": "**all**"} | total, *of_way]:
            wrong = row["prompts"] - row["right"] - row["missed"]
            shares = [f"{row[name] / row['prompts']:.3f}" for name in ("right", "missed")]
            yield [
                meant if row["fleet"] == "**all**" else "",
                row["fleet"],
                str(row["prompts"]),
                *shares,
                f"{wrong / row['prompts']:.3f}",
                str(row["outsiders"]),
                f"{row['kept'] / row['outsiders']:.3f}",
            ]


if __name__ == "__main__":
    main()

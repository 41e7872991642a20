"""Route prompts to fleets of adapters that only texts describe: python benchmarks/fleets.py FLEETS.json

Writes benchmarks/results/fleets.json and .md. FLEETS.json has fleets of adapters, each with a description, six examples
and prompts, and prompts that belong to none. The service of this checkout decides, at its default threshold, over its
port; beside it the same service with the artifacts that `pointsman fit` makes of the same texts. Then each fleet stands
beside the categories of the shipped config: which hand-written prompts leave the model that they had without it.
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
import yaml
from markdown import table
from provenance import processor, provenance
from read_labels import PROMPTS

from pointsman.evaluation.provenance import file_id
from support.daemon import run_daemon

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "fleets"
SHIPPED = ROOT / "config" / "config.yaml"
BASE = "base"
WAYS = {
    "one sentence": "descriptions in the config",
    "six examples": "descriptions and six examples in the config",
    "six examples, fit": "`fit`, at a threshold of 0.4",
}
FIT_THRESHOLD = 0.4
"""At 0.5 it sends hardly anything."""
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
    beside = asyncio.run(changes(fleets))
    result = provenance() | {"data": asdict(file_id(options.fleets)), "rows": rows, "beside": beside}
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(page(result)) + "\n")


async def measured(way: str, fleet: Fleet) -> dict[str, int]:
    """Return the counts of prompts and outsiders, and of those that got the right model, or another adapter."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = {"model_id": str(fit(fleet, folder)), "threshold": FIT_THRESHOLD} if way.endswith("fit") else {}
        return await counted(way, fleet, model, folder)


async def counted(way: str, fleet: Fleet, model: dict[str, Any], folder: Path) -> dict[str, int]:
    """Return the counts of what a fleet's prompts, and those of no adapter, get by a `category_model`."""
    prompts = [text for adapter in fleet["adapters"] for text in adapter["tests"]]
    outside = fleet.get("outside") or fleet["outsiders"]
    models = await models_of([*prompts, *outside], config(way, fleet, model), folder)
    wanted = [adapter["name"] for adapter in fleet["adapters"] for _ in adapter["tests"]]
    found, others = models[: len(wanted)], models[len(wanted) :]
    return {
        "prompts": len(found),
        "right": sum(map(str.__eq__, found, wanted)),
        "missed": found.count(BASE),
        "outsiders": len(others),
        "kept": others.count(BASE),
    }


async def changes(fleets: list[Fleet]) -> list[dict[str, Any]]:
    """Return for each fleet beside the shipped config, by model, the prompts that it had and that it loses."""
    texts = [json.loads(line)["text"] for line in PROMPTS.read_text().splitlines()]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        before = await models_of(texts, shipped([]), Path(folder))
        for way in ("one sentence", "six examples"):
            for fleet in fleets:
                after = await models_of(texts, shipped(categories(way, fleet)), Path(folder))
                lost = [old for old, new in zip(before, after, strict=True) if old != new]
                models = {
                    model: {"had": before.count(model), "lost": lost.count(model)} for model in sorted(set(before))
                }
                rows.append({"fleet": fleet["name"], "way": way, "models": models})
    return rows


def shipped(described: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the shipped config with further categories."""
    made: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
    base = made["default_model"]
    for one in described:
        (entry,) = one["model_scores"]
        entry["model"] = base
        made["model_config"][base]["loras"].append({"name": entry["lora_name"]})
    made["categories"] = [*described, *made["categories"]]
    made["pointsman"] = {"adapters": {"poll_interval_ms": 0}}
    return made


async def models_of(texts: list[str], made: dict[str, Any], folder: Path) -> list[str]:
    """Return the model that the service with a config chooses for each text."""
    async with (
        run_daemon(made, folder, env={"STATE_DIRECTORY": str(folder)}) as daemon,
        aiohttp.ClientSession(daemon.base_url) as http,
    ):
        return [await routed(http, text) for text in texts]


async def routed(http: aiohttp.ClientSession, text: str) -> str:
    """Return the model that a prompt gets; one that the busy host was too late for is asked again."""
    while True:
        async with http.post("/v1/route", json={"messages": [{"role": "user", "content": text}]}) as response:
            response.raise_for_status()
            decision = (await response.json())["decision"]
        if decision["reason"] not in ("deadline", "overloaded"):
            return str(decision["model"])


def config(way: str, fleet: Fleet, model: dict[str, Any], port: int = 9) -> dict[str, Any]:
    """Return a config of a fleet's adapters, with the texts of a way, for a vLLM at a port."""
    return {
        "classifier": {"category_model": model},
        "vllm_endpoints": [{"name": "vllm", "address": "127.0.0.1", "port": port}],
        "default_model": BASE,
        "model_config": {BASE: {"loras": [{"name": adapter["name"]} for adapter in fleet["adapters"]]}},
        "categories": categories(way, fleet),
        "pointsman": {"adapters": {"poll_interval_ms": 0}},
    }


def categories(way: str, fleet: Fleet) -> list[dict[str, Any]]:
    """Return a category for each adapter of a fleet, with the texts of a way, which are in the artifact after `fit`."""
    given = {"one sentence": ("description",), "six examples": ("description", "examples")}.get(way, ())
    return [
        {
            "name": adapter["name"],
            "model_scores": [{"model": BASE, "lora_name": adapter["name"], "use_reasoning": False}],
            **{key: adapter[key] for key in given},
        }
        for adapter in fleet["adapters"]
    ]


def fit(fleet: Fleet, folder: Path) -> Path:
    rows = [{"text": text, "label": adapter["name"]} for adapter in fleet["adapters"] for text in adapter["examples"]]
    data, made = folder / "rows.jsonl", folder / "fitted"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = [sys.executable, "-m", "pointsman", "fit", "--data", str(data), "-o", str(made), "--languages", LANGUAGES]
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
    yield ""
    yield "## Beside categories that labels cover"
    yield ""
    yield "The hand-written prompts of `tests/data` with the shipped config and a fleet: of those that each model had"
    yield "without the fleet, the ones that it loses. Some belong there, as to an adapter that teaches Python."
    yield ""
    models = list(result["beside"][0]["models"])
    yield from table(
        ("way", "fleet", *models),
        (
            [WAYS[row["way"]], row["fleet"], *(f"{one['lost']} of {one['had']}" for one in row["models"].values())]
            for row in result["beside"]
        ),
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

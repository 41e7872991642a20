"""Teach fleets of adapters with rows that writers wrote: python -m teach FLEETS.json

Writes benchmarks/results/teach.json and .md. A server that stands in for the model gives the writers' rows, which
`pointsman teach` filters, and says of each which adapter it was written for; the service then decides with what was
taught, at its default threshold. The fleets are those of FLEETS.json, by which constants were fitted, and those of
`benchmarks/judges`, by which nothing was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from fleets import BASE, Fleet, config, counted
from markdown import table
from provenance import processor, provenance

from pointsman.evaluation.provenance import file_id

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "benchmarks" / "results" / "teach"
JUDGES = ROOT / "benchmarks" / "judges"
OURS = Path(__file__).parent / "rows"
WAY = "one sentence"
COUNTS = (5, 10, 30, 100)
"""Rows of an adapter; there are 100 for the fleets that judge alone."""
Row = dict[str, Any]


class StandIn:
    """A server whose model writes the first rows of each adapter, and knows where they belong."""

    def __init__(self, rows: Sequence[Row], count: int) -> None:
        self._left: dict[str | None, list[str]] = {}
        self._labels = {row["text"].strip(): row["label"] for row in rows}
        for row in rows:
            own = self._left.setdefault(row["label"], [])
            if len(own) < count * (1 if row["label"] else 2):
                own.append(row["text"])

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": BASE}]})

    async def answer(self, request: web.Request) -> web.Response:
        said = self._said((await request.json())["messages"][0]["content"])
        return web.json_response({"choices": [{"message": {"content": json.dumps(said)}}]})

    def _said(self, asked: str) -> dict[str, Any]:
        listed, second_look, rest = asked.partition("\n\nA message, which is data as well:\n")
        if second_look:
            names = [json.loads(line.partition(". ")[2])["name"] for line in listed.splitlines()[1:]]
            label = self._labels.get(json.loads(rest.splitlines()[0]))
            return {"number": str(names.index(label) + 1) if label in names else "none"}
        about = json.loads(asked.splitlines()[1])
        own = self._left.get(about["assistant"]["name"] if "assistant" in about else None, [])
        given, own[:10] = own[:10], []
        return {"prompts": given}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fleets", type=Path)
    options = parser.parse_args()
    sets = {"fitted": (options.fleets, OURS), "judges": (JUDGES / "fleets.json", JUDGES / "taught")}
    rows = [
        {"set": name, "fleet": fleet["name"], "rows": count} | asyncio.run(measured(fleet, taught, count))
        for name, (file, folder) in sets.items()
        for number, fleet in enumerate(json.loads(file.read_text())["fleets"], 1)
        for taught in [read(folder, number)]
        for count in (0, *COUNTS)
        if count <= len(taught) / len(fleet["adapters"])
    ]
    result = provenance() | {"data": [asdict(file_id(file)) for file, _ in sets.values()], "rows": rows}
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(page(result)) + "\n")


def read(folder: Path, number: int) -> list[Row]:
    """Return the rows that writers wrote for a fleet."""
    files = sorted(folder.glob(f"fleet-{number}*.jsonl"), key=lambda path: len(path.name))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


async def measured(fleet: Fleet, rows: Sequence[Row], count: int) -> dict[str, int]:
    """Return the counts of `fleets.counted`, with so many rows of each adapter taught; without any, by descriptions."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(await taught(fleet, rows, count, folder)) if count else "builtin"
        return await counted(WAY, fleet, {"model_id": model}, folder)


async def taught(fleet: Fleet, rows: Sequence[Row], count: int, folder: Path) -> Path:
    """Run `pointsman teach` against the stand-in, and return the classifier's folder."""
    made, file = folder / "taught", folder / "teach.yaml"
    async with served(StandIn(rows, count)) as port:
        file.write_text(yaml.safe_dump(config(WAY, fleet, {"model_id": "builtin"}, port)))
        command = [
            sys.executable,
            "-m",
            "pointsman",
            "teach",
            "--config",
            str(file),
            "--rows",
            str(count),
            "-o",
            str(made),
        ]
        env = os.environ | {"STATE_DIRECTORY": str(folder)}
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.DEVNULL)
        if await process.wait():
            raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return made


@asynccontextmanager
async def served(model: StandIn) -> AsyncIterator[int]:
    """Yield the port of the server."""
    app = web.Application()
    app.router.add_get("/v1/models", model.models)
    app.router.add_post("/v1/chat/completions", model.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def page(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from [
        "# Adapters that a model has taught",
        "",
        "`make bench-teach`: fleets of invented adapters, of which the service knows one sentence each, and those with",
        "rows that a strong language model wrote by names and descriptions alone, through `pointsman teach` and a",
        "running service at its default threshold. *Right*: the adapter that the prompt was written for; *wrong*:",
        "another adapter. *Kept*: of the prompts that belong to no adapter, those that the base model gets.",
        f"{processor(result['machine'])}, commit {result['commit']}.",
    ]
    about = {
        "fitted": "Fleets by which constants were fitted",
        "judges": "Fleets that nobody has seen, and by which nothing was fitted",
    }
    for name, title in about.items():
        rows = [row for row in result["rows"] if row["set"] == name]
        yield from ["", f"## {title}", ""]
        yield from table(
            ("rows of an adapter", "fleet", "prompts", "right", "wrong", "outsiders", "kept"),
            (cells for count in (0, *COUNTS) for cells in _cells([row for row in rows if row["rows"] == count])),
        )


def _cells(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Yield a row for all fleets, and one for each."""
    counts = ("prompts", "right", "missed", "outsiders", "kept")
    total = {name: sum(row[name] for row in rows) for name in counts}
    for row in [{"fleet": "**all**", "rows": rows[0]["rows"]} | total, *rows] if rows else ():
        yield [
            str(row["rows"] or "one sentence") if row["fleet"] == "**all**" else "",
            row["fleet"],
            str(row["prompts"]),
            f"{row['right'] / row['prompts']:.3f}",
            f"{1 - (row['right'] + row['missed']) / row['prompts']:.3f}",
            str(row["outsiders"]),
            f"{row['kept'] / row['outsiders']:.3f}",
        ]


if __name__ == "__main__":
    main()

"""Tell random tasks apart, with the built-in and with the encoder before its training: python benchmarks/tasks.py

Writes benchmarks/results/tasks.json and .md. TASKS.jsonl has tasks of public collections, each with a description and
inputs. Fleets of twelve are drawn, each task of another origin, and the service routes the inputs by one sentence each
and by six inputs more, at its default threshold. PRETRAINED is an artifact of the encoder before the training.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from choices import cell
from fleets import WAYS, Fleet, counted
from markdown import table
from provenance import processor, provenance
from read_labels import share

from pointsman.classify import artifact
from pointsman.evaluation.provenance import file_id, identify

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "tasks"
SEED, FLEETS, ADAPTERS = 1, 20, 12
EXAMPLES, PROMPTS, OUTSIDE = 6, 12, 40
GIVEN = ("one sentence", "six examples")
MAX_CHARACTERS = 4_000
"""Of an input; the few that are longer are books."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", type=Path)
    parser.add_argument("pretrained", type=Path, help="folder of an artifact")
    options = parser.parse_args()
    models = {"built-in": artifact.BUILTIN, "before its training": options.pretrained}
    tasks = [json.loads(line) for line in options.tasks.read_text().splitlines()]
    rows = [
        {"fleet": number, "way": way, "encoder": encoder} | asyncio.run(measured(way, fleet, folder))
        for number, fleet in enumerate(drawn(tasks))
        for way in GIVEN
        for encoder, folder in models.items()
    ]
    artifacts = {name: asdict(identify(artifact.load(folder))) for name, folder in models.items()}
    result = provenance() | {"data": asdict(file_id(options.tasks)), "artifacts": artifacts, "rows": rows}
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(page(result)) + "\n")


def drawn(tasks: Sequence[dict[str, Any]]) -> Iterator[Fleet]:
    """Yield fleets of tasks with enough inputs, none of the same origin, and inputs of the other tasks."""
    draw = random.Random(SEED)
    count = EXAMPLES + PROMPTS
    inputs = {
        one["task"]: [text for text in dict.fromkeys(one["inputs"]) if text.strip() and len(text) <= MAX_CHARACTERS]
        for one in tasks
    }
    for _ in range(FLEETS):
        origins: dict[str, dict[str, Any]] = {}
        for one in draw.sample(tasks, len(tasks)):
            if len(inputs[one["task"]]) >= count:
                origins.setdefault(one.get("group") or one["source"], one)
        chosen, others = list(origins.values())[:ADAPTERS], list(origins.values())[ADAPTERS:]
        yield {
            "adapters": [
                {
                    "name": f"task-{at}",
                    "description": one["description"],
                    "examples": inputs[one["task"]][:EXAMPLES],
                    "tests": inputs[one["task"]][EXAMPLES:count],
                }
                for at, one in enumerate(chosen)
            ],
            "outside": [draw.choice(inputs[one["task"]]) for one in draw.sample(others, OUTSIDE)],
        }


async def measured(way: str, fleet: Fleet, model: Path) -> dict[str, int]:
    """Return the counts of `fleets.counted` by an artifact."""
    with tempfile.TemporaryDirectory() as folder:
        return await counted(way, fleet, {"model_id": str(model)}, Path(folder))


def page(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from [
        "# Random tasks",
        "",
        f"`make bench-tasks`: {FLEETS} fleets of {ADAPTERS} tasks that were drawn from public collections, each of",
        "another origin, routed by a running service at its default threshold, with the built-in and with the encoder",
        "from which its training began, as `pointsman export` makes it: by the last layer's mean, as its authors do,",
        "where the built-in has the middle layer's as well. *Right*: the task that the input is of; *kept*: of inputs",
        f"of other tasks, those that the base model gets. {processor(result['machine'])}, commit {result['commit']}.",
        "",
    ]
    ways = [(way, encoder) for way in GIVEN for encoder in result["artifacts"]]
    yield from table(
        ("way", "encoder", "right", "kept"),
        ([WAYS[way], encoder, *_shares(result["rows"], way, encoder)] for way, encoder in ways),
    )


def _shares(rows: Sequence[dict[str, Any]], way: str, encoder: str) -> Iterator[str]:
    of = [row for row in rows if (row["way"], row["encoder"]) == (way, encoder)]
    for part, whole in (("right", "prompts"), ("kept", "outsiders")):
        yield cell(share(sum(row[part] for row in of), sum(row[whole] for row in of)))


if __name__ == "__main__":
    main()

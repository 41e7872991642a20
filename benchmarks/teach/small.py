"""Teach a fleet of adapters by a small model: python -m teach.small PYTHON

Writes benchmarks/results/teach-small.json and .md. PYTHON has what `gemma.py` needs. The fleet is the first one of
`benchmarks/judges`, by which nothing was fitted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fleets
import yaml
from fleets import Fleet
from markdown import table
from programs import running
from provenance import processor, provenance
from startup import free_port
from teach.__main__ import JUDGES, ROOT, WAY

from pointsman.evaluation.provenance import file_id
from pointsman.improve.taught_file import taught_file

RESULT = ROOT / "benchmarks" / "results" / "teach-small"
FLEETS = JUDGES / "fleets.json"
GEMMA = Path(__file__).with_name("gemma.py")
ROWS = 10
START_SECONDS = 120


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", type=Path)
    options = parser.parse_args()
    fleet = json.loads(FLEETS.read_text())["fleets"][0]
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        command = [str(options.python), str(GEMMA), str(folder), str(port)]
        with running(folder / "gemma.log", command, lambda: _listens(port), START_SECONDS):
            found = taught(fleet, folder, port)
        models = {"one sentence": "builtin"}
        if (folder / "taught").exists():
            models["taught"] = str(folder / "taught")
        rows = [
            {"way": way} | asyncio.run(fleets.counted(WAY, fleet, {"model_id": model}, folder))
            for way, model in models.items()
        ]
    about = {"data": asdict(file_id(FLEETS)), "fleet": fleet["name"], "adapters": len(fleet["adapters"])}
    result = provenance() | about | found | {"ways": rows}
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(page(result)) + "\n")


def taught(fleet: Fleet, folder: Path, port: int) -> dict[str, Any]:
    """Run `pointsman teach`; return its seconds, its last words, and the rows by adapter that came of it."""
    file = folder / "teach.yaml"
    file.write_text(yaml.safe_dump(fleets.config(WAY, fleet, {"model_id": "builtin"}, port)))
    (model,) = _models(port)
    command = [sys.executable, "-m", "pointsman", "teach", "--config", str(file), "--rows", str(ROWS)]
    began = time.monotonic()
    command += ["--model", model, "-o", str(folder / "taught")]
    env = os.environ | {"STATE_DIRECTORY": str(folder)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    path = folder / "improve" / "taught.jsonl"
    rows = [row for row in taught_file(path).read() if row is not None] if path.exists() else []
    return {
        "seconds": round(time.monotonic() - began),
        "said": done.stderr.splitlines()[-12:],
        "rows": dict(Counter(str(row.label) for row in rows)),
    }


def page(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    yield from [
        "# Adapters that a small model has taught",
        "",
        f"`make bench-teach-small`: Gemma 3 270M, a base model with 4-bit weights, was asked for {ROWS} prompts of",
        f"each of {result['adapters']} adapters of a fleet by which nothing was fitted. *Right*: the adapter that the",
        "prompt was written for; *wrong*: another adapter. *Kept*: of the prompts of no adapter, those that the base",
        f"model gets. It took {result['seconds'] / 60:.0f} minutes.",
        f"{processor(result['machine'])}, commit {result['commit']}.",
        "",
        *table(("way", "right", "wrong", "kept"), ([row["way"], *_shares(row)] for row in result["ways"])),
        "",
        *table(("category", "rows"), ([name, str(count)] for name, count in sorted(result["rows"].items()))),
        "",
        *(f"    {line}" for line in result["said"]),
    ]


def _shares(row: dict[str, Any]) -> Iterator[str]:
    wrong = row["prompts"] - row["right"] - row["missed"]
    for part, whole in ((row["right"], row["prompts"]), (wrong, row["prompts"]), (row["kept"], row["outsiders"])):
        yield f"{part / whole:.3f}, {part} of {whole}"


def _models(port: int) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=10) as answer:
        return [one["id"] for one in json.load(answer)["data"]]


def _listens(port: int) -> bool:
    try:
        return bool(_models(port))
    except OSError:
        return False


if __name__ == "__main__":
    main()

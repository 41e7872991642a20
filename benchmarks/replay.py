"""Show which routes the present built-in changes from a former one; write benchmarks/results/replay.json and .md.

`pointsman replay` decides the hand-written prompts of tests/data again, as a log has them, with the categories of
config/config.yaml. It does so for the prompts of each category separately, so that its matrix also tells what is right.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markdown import table
from provenance import processor, provenance

from pointsman.classify import artifact
from pointsman.config.load import load
from pointsman.evaluation.dataset import EvaluationRow, read_rows
from pointsman.evaluation.scheme import CategoryScheme

ROOT = Path(__file__).parents[1]
RESULT = ROOT / "benchmarks" / "results" / "replay"
CONFIG = ROOT / "config" / "config.yaml"
PROMPTS = ROOT / "tests" / "data" / "prompts.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("former", help="folder of the former artifact")
    former = parser.parse_args().former
    scheme = CategoryScheme(load(CONFIG).config, artifact.load(artifact.BUILTIN).manifest.labels)
    rows = read_rows(PROMPTS, scheme)
    by_category: dict[str, list[EvaluationRow]] = {}
    for row in rows:
        by_category.setdefault(scheme.names[row.truth or 0], []).append(row)
    replays = {name: replayed(some, former) for name, some in by_category.items()}
    origin = next(iter(replays.values()))["provenance"]
    result = provenance() | {
        "artifacts": {"former": origin["artifact"], "present": origin["against"]},
        "prompts": len(rows),
        "models": dict(zip(scheme.names, scheme.models(), strict=True)),
        "by_category": {name: found["matrix"] for name, found in replays.items()},
    }
    RESULT.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    RESULT.with_suffix(".md").write_text("\n".join(rendered(result)) + "\n")
    print(summary(result))


def replayed(rows: list[EvaluationRow], former: str) -> dict[str, Any]:
    """Return the report of `pointsman replay` on the prompts, from the former artifact to the built-in."""
    with tempfile.TemporaryDirectory() as scratch:
        log, texts, report = (Path(scratch, name) for name in ("log", "texts", "report"))
        hashes = [hashlib.sha256(row.text.encode()).hexdigest() for row in rows]
        decisions = [{"event": "routing_decision", "text_hash": text_hash} for text_hash in hashes]
        log.write_text("".join(json.dumps(one) + "\n" for one in decisions))
        lines = [{"hash": text_hash, "text": row.text} for text_hash, row in zip(hashes, rows, strict=True)]
        texts.write_text("".join(json.dumps(one) + "\n" for one in lines))
        options = ["--against", "builtin", "--config", CONFIG, "--texts", texts, "--json", report]
        command = [sys.executable, "-m", "pointsman", "replay", log, former, *options]
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(report.read_text())
        return found


def moves(result: dict[str, Any]) -> Counter[tuple[str, str, str]]:
    """Return the prompts by the models that they should have, had and have."""
    models = result["models"]
    found: Counter[tuple[str, str, str]] = Counter()
    for wanted, matrix in result["by_category"].items():
        for before, others in matrix.items():
            for after, count in others.items():
                found[models[wanted], models[before], models[after]] += count
    return found


def changes(result: dict[str, Any]) -> Counter[tuple[str, str]]:
    """Return how many prompts go from one model to another."""
    found: Counter[tuple[str, str]] = Counter()
    for (_, before, after), count in moves(result).items():
        if before != after:
            found[before, after] += count
    return found


def summary(result: dict[str, Any]) -> str:
    """Return the sentences of the changelog."""
    found = moves(result)
    right = [sum(count for way, count in found.items() if way[0] == way[side]) for side in (1, 2)]
    gained = sum(count for (wanted, before, after), count in found.items() if before != after == wanted)
    lost = sum(count for (wanted, before, after), count in found.items() if after != before == wanted)
    ways = ", ".join(f"{before} to {after} {count}" for (before, after), count in changes(result).most_common())
    return (
        f"Of {result['prompts']} hand-written prompts it sends {right[1]} to the right model, the former one "
        f"{right[0]}: {sum(changes(result).values())} change their model, {gained} of these to the right one and "
        f"{lost} from it ({ways})."
    )


def rendered(result: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the page."""
    former, present = (result["artifacts"][name]["files"]["model.onnx"] for name in ("former", "present"))
    yield from [
        "# Routes that the built-in changes",
        "",
        "`pointsman replay` of the [former built-in](../../docs/operations.md#the-classifier-of-release-01) against",
        "the present one, over the hand-written prompts of `tests/data`, with `config/config.yaml` (`make",
        "bench-replay`).",
        f"The graphs' SHA-256 begin with {former[:12]} and {present[:12]}.",
        "",
        summary(result),
        "",
    ]
    yield from table(["change", "prompts"], [[" to ".join(way), str(n)] for way, n in changes(result).most_common()])
    yield from ["", f"{processor(result['machine'])}, commit {result['commit']}."]


if __name__ == "__main__":
    main()

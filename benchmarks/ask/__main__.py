"""Measure whether the ask decides the route; write benchmarks/results/ask.json and ask.md.

DATA, if given, is a folder with dev_user_prompts.jsonl: prompts of real users, of which those count that the classifier
routes right when bare. `--held-out` also measures the kinds of wrappers that were held out of development.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from provenance import provenance

from ask.measure import Costs, asks_found, injected, right_when_bare, rows, spoken_kept, unwrapped, written
from ask.report import missed, rendered
from ask.routes import SampleRouter
from ask.wrapper import wrappers

RESULTS = Path(__file__).parents[1] / "results"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--held-out", action="store_true")
    options = parser.parse_args()
    result = provenance() | asyncio.run(measured(options.data, held_out=options.held_out))
    (RESULTS / "ask.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    lines = "\n".join(rendered(result)) + "\n"
    (RESULTS / "ask.md").write_text(lines)
    print(lines)
    sys.exit(missed(result))


async def measured(data: Path | None, *, held_out: bool) -> dict[str, Any]:
    """Return all figures."""
    routes = SampleRouter()
    pools, asks = [written()], [ask["text"] for ask in written()]
    if data is not None:
        file = data / "dev_user_prompts.jsonl"
        pools.append(await right_when_bare(routes, file))
        asks += [row["text"] for row in rows(file)]
    known = wrappers("known")
    costs = Costs(known)
    result: dict[str, Any] = {
        "artifacts": routes.artifacts,
        "asks": [len(pool) for pool in pools],
        "known": await asks_found(routes, known, pools),
        "injections": await injected(routes, known),
        "spoken": await spoken_kept(routes, known),
        "bare": {"of": len(asks)} | await unwrapped(routes, asks),
    }
    costs.run()
    seen = ("others", "apps", "habits")
    for group in (
        seen if not held_out else ("others", "others_apart", "apps", "apps_apart", "habits", "habits_apart", "held_out")
    ):
        result[group] = await asks_found(routes, wrappers(group), pools)
        costs.run()
    result["cost"] = costs.found()
    return result


if __name__ == "__main__":
    main()

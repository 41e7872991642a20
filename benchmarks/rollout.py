"""Measure what a rollout and rules cost a request, without sockets, and how often `pointsman compare` is wrong.

The same service as in path.py takes the same routed request, whose class is in the cache, in turns, round by round:
with nothing of this, in shadow, with a share held back, with a canary, and with rules that do not match. Then
experiments without a difference and with a planted one are simulated, and looked at after every conversation. Writes
rollout.json and rollout.md to benchmarks/results.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
from dataclasses import replace
from typing import Any

import uvloop
from markdown import table
from path import HEAD, HIT, REQUESTS, body, quiet
from provenance import processor, provenance
from side_by_side import in_turn
from startup import RESULT, ROOT
from target import difference

from pointsman.app.prepare import Prepared, prepare
from pointsman.config.model import Canary, CategoryRollout, RoutingOptions, Rule
from pointsman.evaluation.comparison import EACH, SCALE
from pointsman.evaluation.sequential import Sample, shares_differ
from pointsman.evaluation.sequential import difference as between

ROUNDS = 60
RUNS, CONVERSATIONS = 1_000, 1_000
NONE = "none of it"
WORDS = tuple(f"keyword{number}" for number in range(10))
RULES = tuple(Rule(name=f"k{number}", default=True, keywords=WORDS) for number in range(10))
PATTERNS = tuple(
    Rule(name=f"p{number}", default=True, pattern=rf"\b(?:invoice|order)\s+{number}\d+\b") for number in range(10)
)
CANARY = CategoryRollout(canary=Canary(adapter="legal-lora", percent=50))
OPTIONS: dict[str, dict[str, Any]] = {
    NONE: {},
    "mode: shadow": {"mode": "shadow"},
    "mode: percent": {"mode": "percent", "percent": 50.0},
    "a canary": {"categories": {"technical": CANARY}},
    "10 rules of 10 keywords": {"rules": RULES},
    "10 rules with a pattern": {"rules": PATTERNS},
}


async def measure(rounds: int) -> dict[str, list[float]]:
    """Return the microseconds of a request in each round, by the options."""
    base = quiet(prepare(ROOT / "config" / "config.yaml"))
    turns, size = REQUESTS["one question", "1 KiB"]
    sent = body(size, turns, HIT)
    pieces = [HEAD.format(len(sent)).encode() + sent]
    return await in_turn({name: _with(base, options) for name, options in OPTIONS.items()}, pieces, rounds)


def _with(base: Prepared, options: dict[str, Any]) -> Prepared:
    own = base.config.pointsman
    return replace(base, config=replace(base.config, pointsman=replace(own, routing=RoutingOptions(**options))))


def verdict_at(seed: int, share: float, fails: tuple[float, float], slower: float) -> int | None:
    """Return after how many conversations a simulated experiment has a verdict, None if it has none."""
    dice = random.Random(seed)
    rows, hits, sums, squares = [0, 0], [0, 0], [0.0, 0.0], [0.0, 0.0]
    for number in range(1, CONVERSATIONS + 1):
        side = int(dice.random() >= share)
        value = dice.gauss(-1.0, 0.5) + math.log1p(slower) * (side == 0)
        rows[side] += 1
        hits[side] += dice.random() < fails[side]
        sums[side] += value
        squares[side] += value * value
        if shares_differ((hits[0], rows[0]), (hits[1], rows[1]), alpha=EACH):
            return number
        first, second = (_sample(*found) for found in zip(rows, sums, squares, strict=True))
        times = between(first, second, SCALE, EACH)
        if times is not None and times.certain:
            return number
    return None


def _sample(rows: int, total: float, squares: float) -> Sample:
    if rows < 2:
        return Sample(rows, total, math.inf)
    mean = total / rows
    return Sample(rows, mean, (squares - rows * mean * mean) / (rows - 1) / rows)


SIMULATED: dict[str, tuple[float, tuple[float, float], float]] = {
    "no difference, half and half": (0.5, (0.02, 0.02), 0.0),
    "no difference, 10 %": (0.1, (0.02, 0.02), 0.0),
    "no difference, many failures": (0.3, (0.2, 0.2), 0.0),
    "10 % fail instead of 2 %, half and half": (0.5, (0.1, 0.02), 0.0),
    "10 % fail instead of 2 %, 10 %": (0.1, (0.1, 0.02), 0.0),
    "first byte 20 % later, half and half": (0.5, (0.02, 0.02), 0.2),
    "first byte 20 % later, 10 %": (0.1, (0.02, 0.02), 0.2),
}


def simulate(runs: int) -> dict[str, dict[str, float | None]]:
    """Return the share of runs with a verdict, and the median of the conversations that it took."""
    found: dict[str, dict[str, float | None]] = {}
    for name, given in SIMULATED.items():
        ends = [end for seed in range(runs) if (end := verdict_at(seed, *given)) is not None]
        found[name] = {"verdicts": len(ends) / runs, "conversations": statistics.median(ends) if ends else None}
    return found


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    requests = result["requests"]
    rows = [
        [name, f"{min(times):.2f}", f"{0.0 if name == NONE else difference(times, requests[NONE]):.2f}"]
        for name, times in requests.items()
    ]
    runs = [
        [name, f"{100 * told['verdicts']:.1f} %", f"{told['conversations']:.0f}" if told["conversations"] else "-"]
        for name, told in result["simulated"].items()
    ]
    return [
        "# What a rollout costs, and how sure a comparison is",
        "",
        "CPU time of the event loop for a routed chat completion of 1 KiB whose class is in the cache, without the",
        "system calls of sockets (`make bench-rollout`). None of the rules matches. Microseconds, best of",
        f"{result['rounds']} rounds; the difference is the median of those of each round.",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "",
        *table(["", "best", "more"], rows),
        "",
        f"Simulated experiments, {result['runs']:,} runs of up to {CONVERSATIONS:,} conversations each, looked at",
        "after every conversation, by failures and by the first byte (normal logarithms, standard deviation 0.5).",
        "Without a difference, at most 6 % may have a verdict. The share is that of the first side.",
        "",
        *table(["", "runs with a verdict", "conversations until then, median"], runs),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args()
    result = provenance() | {"rounds": options.rounds, "runs": options.runs}
    result |= {"requests": uvloop.run(measure(options.rounds)), "simulated": simulate(options.runs)}
    RESULT.with_name("rollout.json").write_text(json.dumps(result, indent=2) + "\n")
    page = "\n".join(rendered(result)) + "\n"
    RESULT.with_name("rollout.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()

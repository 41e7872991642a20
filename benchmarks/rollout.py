"""Play a rollout, measure what it costs a request, and how often `pointsman compare` is wrong.

A service in a process of its own is rolled out by commands and edits of its file, with a thousand wrapped questions in
shadow first; see tests/support/scripted_rollout.py. For the costs, the same service as in path.py takes the same routed
request, whose class is in the cache, in turns and without sockets: with nothing of this, in shadow, with a share held
back, with a canary, with feedback, and with rules that do not match. Then experiments without a difference and with a
planted one are simulated, and looked at after every conversation, and so are canaries. Writes rollout.json and
rollout.md to benchmarks/results; the exit code is 1 if the rollout did not go as it should. `--only` does one of
these again, and keeps the other results.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import math
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop
from ask.wrapper import materials, wrappers
from markdown import publish, table
from path import HEAD, HIT, REQUESTS, body, quiet
from provenance import processor, provenance
from side_by_side import in_turn
from startup import RESULT, ROOT
from target import difference

from pointsman.app.prepare import PreparedConfig, prepare
from pointsman.classify.artifact import load, resolve
from pointsman.config.model import Canary, CategoryRollout, LogOptions, RoutingOptions, Rule
from pointsman.experiments.canary_analysis import CanaryAnalysis, RequestOutcome
from pointsman.experiments.sequential import Sample, shares_differ
from pointsman.experiments.sequential import difference as between
from pointsman.experiments.verdicts import EACH, SCALE
from pointsman.routing.canaries import Arm
from support.lora_vllm import BASE
from support.scripted_rollout import BAD, GOOD, STABLE, Chosen, Played, play, question

ROUNDS = 60
RUNS, CONVERSATIONS = 1_000, 1_000
FEWER = 5
"""Runs of a simulated comparison for each of a simulated canary, which takes as many times as long."""
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
FEEDBACK = "feedback is taken"
SHADOW = "a classifier in shadow"
GROUPS = ("known", "others")


def bodies() -> Iterator[bytes]:
    """Yield chat completions of what real clients put around a question, with material of all domains."""
    around = [one for group in GROUPS for one in wrappers(group) if (one.format, one.expect) == ("chat", "ask")]
    passages = {form: materials(form) for form in {one.material for one in around} - {"none"}}
    domains = itertools.cycle(("medical", "legal", "everyday", "technical"))
    for number, wrapper, domain in zip(itertools.count(), itertools.cycle(around), domains, strict=False):
        found = [""] if wrapper.material == "none" else passages[wrapper.material][domain]
        yield wrapper.filled(question(number), found[number % len(found)])


def played(folder: Path) -> dict[str, Any]:
    """Return the figures of a rollout with the built-in classifier."""
    found: Played = asyncio.run(play(folder, "builtin", bodies()))
    canary, bad = (
        sum(n for (model, _), n in one.items() if model == name)
        for one, name in ((found.canary, GOOD), (found.bad, BAD))
    )
    return {
        "shadow": found.shadow.total(),
        "sent_to_the_default": _share(found.shadow, BASE),
        "reasons": {reason: count for (_, reason), count in found.shadow.most_common()},
        "would_select": dict(found.would.most_common()),
        "until_verdict": found.canary.total(),
        "canary": canary,
        "compared": found.compared.splitlines(),
        "promoted": _share(found.promoted, GOOD),
        "until_rollback": found.bad.total(),
        "bad_canary": bad,
        "rolled_back": [line["message"] for line in found.rollbacks],
        "after": _share(found.after, GOOD),
    }


def _share(chosen: Chosen, name: str) -> float:
    return sum(count for (model, _), count in chosen.items() if model == name) / chosen.total()


def faults(script: dict[str, Any]) -> list[str]:
    """Return what did not go as it should."""
    right = {
        "something was routed in shadow": script["sent_to_the_default"] == 1,
        "no verdict found the planted difference": "verdict: canary fails less often than stable" in script["compared"],
        "the canary had another share than 10 %": 0.05 < script["canary"] / script["until_verdict"] < 0.2,
        "the promoted adapter did not answer": min(script["promoted"], script["after"]) > 0.9,
        "the bad canary was not rolled back once": len(script["rolled_back"]) == 1,
    }
    return [fault for fault, fulfilled in right.items() if not fulfilled]


async def measure(rounds: int, folder: Path) -> dict[str, list[float]]:
    """Return the microseconds of a request in each round, by the options."""
    base = quiet(prepare(ROOT / "config" / "config.yaml"))
    turns, size = REQUESTS["one question", "1 KiB"]
    sent = body(size, turns, HIT)
    pieces = [HEAD.format(len(sent)).encode() + sent]
    configs = {name: _with(base, routing=RoutingOptions(**options)) for name, options in OPTIONS.items()}
    configs[FEEDBACK] = _with(base, log=LogOptions(feedback_file=str(folder / "feedback")))
    with_shadow = replace(base.config.pointsman.classifier, shadow="builtin")
    configs[SHADOW] = replace(_with(base, classifier=with_shadow), shadow=load(resolve("builtin", folder)))
    return await in_turn(configs, pieces, rounds)


def _with(base: PreparedConfig, **options: Any) -> PreparedConfig:
    return replace(base, config=replace(base.config, pointsman=replace(base.config.pointsman, **options)))


def verdict_at(
    seed: int, share: float, fails: tuple[float, float], slower: float, liked: tuple[float, float] = (0.7, 0.7)
) -> int | None:
    """Return after how many conversations a simulated experiment has a verdict, None if it has none.

    Of a third of the conversations somebody says that the answer was good (1) or not (0).
    """
    dice = random.Random(seed)
    rows, hits, sums, squares = [0, 0], [0, 0], [0.0, 0.0], [0.0, 0.0]
    said, good = [0, 0], [0, 0]
    for number in range(1, CONVERSATIONS + 1):
        side = int(dice.random() >= share)
        value = dice.gauss(-1.0, 0.5) + math.log1p(slower) * (side == 0)
        rows[side] += 1
        hits[side] += dice.random() < fails[side]
        sums[side] += value
        squares[side] += value * value
        if shares_differ((hits[0], rows[0]), (hits[1], rows[1]), alpha=EACH):
            return number
        if dice.random() < 1 / 3:
            said[side] += 1
            good[side] += dice.random() < liked[side]
            if shares_differ((good[0], said[0]), (good[1], said[1]), alpha=EACH):
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


SIMULATED: dict[str, Any] = {
    "no difference, half and half": (0.5, (0.02, 0.02), 0.0),
    "no difference, 10 %": (0.1, (0.02, 0.02), 0.0),
    "no difference, many failures": (0.3, (0.2, 0.2), 0.0),
    "10 % fail instead of 2 %, half and half": (0.5, (0.1, 0.02), 0.0),
    "10 % fail instead of 2 %, 10 %": (0.1, (0.1, 0.02), 0.0),
    "first byte 20 % later, half and half": (0.5, (0.02, 0.02), 0.2),
    "first byte 20 % later, 10 %": (0.1, (0.02, 0.02), 0.2),
    "90 % are good instead of 60 %, half and half": (0.5, (0.02, 0.02), 0.0, (0.9, 0.6)),
}


def simulate(runs: int) -> dict[str, dict[str, float | None]]:
    """Return the share of runs with a verdict, and the median of the conversations that it took."""
    found: dict[str, dict[str, float | None]] = {}
    for name, given in SIMULATED.items():
        ends = [end for seed in range(runs) if (end := verdict_at(seed, *given)) is not None]
        found[name] = {"verdicts": len(ends) / runs, "conversations": statistics.median(ends) if ends else None}
    return found


ROLLBACKS: dict[str, tuple[float, float, float]] = {
    "alike, a tenth fails": (0.1, 0.1, 1.0),
    "alike, half fails": (0.5, 0.5, 1.0),
    "10 % fail instead of 2 %": (0.1, 0.02, 1.0),
    "20 % fail instead of 2 %": (0.2, 0.02, 1.0),
    "40 % fail instead of 2 %": (0.4, 0.02, 1.0),
    "all fail instead of 2 %": (1.0, 0.02, 1.0),
    "first byte 2.5 times as late": (0.02, 0.02, 2.5),
    "first byte 4 times as late": (0.02, 0.02, 4.0),
}
"""How often both arms fail, and how many times as late the canary's first byte is."""


def rolled_back_at(seed: int, percent: float, canary: float, stable: float, slower: float) -> int | None:
    """Return after how many of its conversations a simulated canary is rolled back, None if it stays."""
    dice = random.Random(seed)
    analysis = CanaryAnalysis(Canary(adapter="new", percent=percent))
    tried = 0
    for number in range(CONVERSATIONS):
        arm = Arm.CANARY if dice.random() < percent / 100 else Arm.STABLE
        tried += arm is Arm.CANARY
        failed = dice.random() < (canary if arm is Arm.CANARY else stable)
        first = math.exp(dice.gauss(-1.0, 0.5)) * (slower if arm is Arm.CANARY else 1.0)
        outcome = RequestOutcome(arm, float(number), str(number % 5), failed, first, arm, "vllm", 10.0 * number)
        if analysis.add(outcome) is not None:
            return tried
    return None


def rollbacks(runs: int) -> dict[str, list[float | None]]:
    """Return the share of runs with a rollback, and the median of the canary's conversations, at 50 and 10 percent."""
    found: dict[str, list[float | None]] = {}
    for name, given in ROLLBACKS.items():
        found[name] = []
        for percent in (50.0, 10.0):
            ends = [end for seed in range(runs) if (end := rolled_back_at(seed, percent, *given)) is not None]
            found[name] += [len(ends) / runs, statistics.median(ends) if ends else None]
    return found


def rendered(result: dict[str, Any]) -> list[str]:
    """Return the result as a Markdown page."""
    requests = result["requests"]
    rows = [
        [name, f"{min(times):.2f}", f"{0.0 if name == NONE else difference(times, requests[NONE]):.2f}"]
        for name, times in requests.items()
    ]
    runs = [
        [
            name,
            f"{100 * simulation['verdicts']:.1f} %",
            f"{simulation['conversations']:.0f}" if simulation["conversations"] else "-",
        ]
        for name, simulation in result["simulated"].items()
    ]
    back = [
        [name, *(_cells(*simulation[:2])), *(_cells(*simulation[2:]))]
        for name, simulation in result.get("rollbacks", {}).items()
    ]
    return [
        "# A rollout, what it costs, and how sure a comparison is",
        "",
        *_played(result["script"]),
        "",
        "CPU time of the event loop for a routed chat completion of 1 KiB whose class is in the cache, without the",
        "system calls of sockets (`make bench-rollout`). None of the rules matches. Microseconds, best of",
        f"{result['rounds']} rounds; the difference is the median of those of each round.",
        f"{processor(result['machine'])}, Python {result['python']}, commit {result['commit']}.",
        "",
        *table(["", "best", "more"], rows),
        "",
        "Where vLLM is asked for the usage of a stream on an arm, each event costs 0.4 µs (docs/decisions/0019).",
        "",
        f"Simulated experiments, {result['runs']:,} runs of up to {CONVERSATIONS:,} conversations each, looked at",
        "after every conversation, by failures, by the first byte (normal logarithms, standard deviation 0.5), and by",
        "the feedback on a third of them.",
        "Without a difference, at most 6 % may have a verdict. The share is that of the first side.",
        "",
        *table(["", "runs with a verdict", "conversations until then, median"], runs),
        "",
        f"Simulated canaries with the default bounds, {result.get('rollback_runs', 0):,} runs of {CONVERSATIONS:,}",
        "conversations of five clients, one in ten seconds: runs with a rollback, and the median of the canary's",
        "conversations until then.",
        "",
        *table(["", "50 %", "conversations", "10 %", "conversations"], back),
    ]


def _cells(share: float, conversations: float | None) -> list[str]:
    return [f"{100 * share:.1f} %", "-" if conversations is None else f"{conversations:.0f}"]


def _played(script: dict[str, Any]) -> list[str]:
    wrapped = script["would_select"].get(STABLE, 0) / script["shadow"]
    promoted, after = (f"{100 * script[name]:.0f} %" for name in ("promoted", "after"))
    return [
        f"A service in a process of its own, and {script['shadow']:,} questions about programming in what real clients",
        "put around them. In shadow all went to the default model, and the log says that the adapter for them would",
        f"have answered {100 * wrapped:.1f} %. Then a canary had 10 %, and the adapter in use failed for three of ten",
        "questions. `pointsman compare`, asked after every hundred, found that the canary fails less often after",
        f"{script['until_verdict']:,} questions, {script['canary']:,} of them at the canary. Promoted, it answered",
        f"{promoted} of the next hundred. Of a second canary, with 50 % and nothing but failures, the service had",
        f"enough after {script['bad_canary']:,} of {script['until_rollback']:,} questions, and rolled it back:",
        f"{after} of the next hundred went to the adapter that had been promoted.",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", choices=("script", "requests", "simulated", "rollbacks"))
    options = parser.parse_args()
    path = RESULT.with_name("rollout.json")
    result: dict[str, Any] = {} if options.only is None else json.loads(path.read_text())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.only in (None, "script"):
            result["script"] = played(folder)
        if options.only in (None, "requests"):
            result |= provenance() | {"rounds": options.rounds, "requests": uvloop.run(measure(options.rounds, folder))}
        if options.only in (None, "simulated"):
            result |= {"runs": options.runs, "simulated": simulate(options.runs)}
        if options.only in (None, "rollbacks"):
            result |= {"rollback_runs": options.runs // FEWER, "rollbacks": rollbacks(options.runs // FEWER)}
    publish(path, result, rendered(result))
    for fault in (found := faults(result["script"])):
        print(f"fault: {fault}", file=sys.stderr)
    sys.exit(bool(found))


if __name__ == "__main__":
    main()

"""Render benchmarks/results/inference.md from the result files: python -m inference.report"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from markdown import judged, table, unmet
from provenance import processor
from target import PerformanceTarget, ratio

from inference import targets
from inference.batch1 import PRODUCTS, THREADS
from inference.phases import PHASES, REST
from inference.serving import FEW, MANY, OURS, TENSOR, median
from inference.workplace import NO_VNNI, RESULTS
from pointsman.classify.artifact import BUILTIN, read_manifest
from pointsman.classify.manifest import MODEL

STEP_MIB = 1.0
"""Growth between two samples from which a step is reported."""
TWO_THREADS = "On two threads the time depends on whether the two cores share a cache (docs/decisions/0023)."
Result = dict[str, Any]


def main() -> None:
    for folder in filter(Path.is_dir, (RESULTS, NO_VNNI)):
        folder.joinpath("inference.md").write_text("\n".join(render(folder)) + "\n")


def render(folder: Path) -> list[str]:
    """Return the lines of the report. Missing measurements are mentioned."""
    lines = [
        "# Classification: speed",
        "",
        "Rendered from the result files in this folder (`make bench-inference`). The model under test has the shape of",
        "ModernBERT-base and random weights. The programs take turns in each round. A figure is the median of the",
        "rounds; a ratio is the median of the ratios of each round. A target that covers several lengths or loads is",
        "judged by the worst of them, which the table names. The first table of a section judges the default.",
        "",
    ]
    for part, section in SECTIONS.items():
        file = folder / f"inference-{part}.json"
        if not file.exists():
            lines += [f"`{part}` was not measured.", ""]
            continue
        result = json.loads(file.read_text())
        lines += [*section(result["found"]), "", _origin(result), ""]
        if missing := result["found"].get("missing"):
            lines += [f"Not measured, since it could not be run: {', '.join(missing)}.", ""]
    return [*lines, *gpu(folder / "gpu.json")]


def batch1(found: Result) -> list[str]:
    medians = {threads: _medians(cells) for threads, cells in found["ms"].items()}
    built_in = read_manifest(BUILTIN).verification
    proofs = found["proofs"]
    alike = {"the built-in": built_in} | {name: proof for name, proof in proofs.items() if name.endswith("per token")}
    lines = [
        "## One prompt at a time",
        "",
        "At like fidelity we compare OpenVINO with int8 weights only. How near to float each of them answers, with",
        "trained weights, is in docs/decisions/0023. `export` keeps as few layers in float as its bound of error",
        "needs. PyTorch, optimum and ONNX Runtime's int8 have no target on one thread, and are not measured there.",
        *_in_float({name: proof["float_layers"] for name, proof in proofs.items()}),
        "",
        "The default, `export` without options:",
        "",
        *_judged(
            [*targets.batch1(found, targets.DEFAULT), *targets.proofs(built_in, alike)],
            batch1_reasons(found, targets.DEFAULT),
        ),
        "",
        "With `--activations tensor`, which is faster, and whose scores depend on the other texts in a run:",
        "",
        *_judged(targets.batch1(found, targets.TENSOR), batch1_reasons(found, targets.TENSOR)),
    ]
    for threads, by_tokens in medians.items():
        lines += [
            "",
            f"Milliseconds by tokens, threads: {threads}:",
            "",
            *_by_tokens(by_tokens),
        ]
    return [
        *lines,
        "",
        "The floor is the time of the matrix products alone: u8 x s8 for the linear layers, float for the windowed",
        "attention, measured in the same rounds. On a CPU with bfloat16, OpenVINO computes everything that is not int8",
        "in bfloat16, including attention (INFERENCE_PRECISION_HINT of the compiled model); ours stays in float32.",
    ]


def batch1_reasons(found: Mapping[str, Any], ours: str) -> dict[str, str]:
    """Return why targets of single prompts are not met."""
    alone = targets.batch1({**found, "ms": {str(THREADS): {}, "1": found["ms"]["1"]}}, ours)
    met = [one.what for one in alone if one.met]
    like = targets.LIKE_FIDELITY
    rows = [row for row in targets.batch1(found, ours) if row.at]
    reasons = {row.what: f"{_products(found, ours, row)} {TWO_THREADS}" for row in rows if "optimum" in row.what}
    reasons |= {
        like: TWO_THREADS + (" On one thread it is met at every length." if like in met else ""),
        "time relative to the floor": TWO_THREADS,
    }
    return reasons | {
        row.what: f"{_fastest(found, ours, row)} {TWO_THREADS}" for row in rows if row.what == targets.FASTEST
    }


def _cell(found: Mapping[str, Any], row: PerformanceTarget) -> tuple[int, Mapping[str, Sequence[float]]]:
    """Return the length, and the times by program, where the value of a target was measured."""
    tokens, _, threads = row.at.replace(",", "").partition(" tokens ")
    return int(tokens), found["ms"][threads.split()[0]][tokens]


def _products(found: Mapping[str, Any], ours: str, row: PerformanceTarget) -> str:
    """Return what the products, which any int8 program computes, leave of a speed-up."""
    tokens, cell = _cell(found, row)
    share = ratio(targets.floors(cell, tokens), cell[ours])
    if share >= 1:
        return "There the products alone, run by themselves, took no less time than a whole run of ours."
    without = row.measured / share
    return f"There the products alone take {share:.0%} of our time; without the rest it would be {without:.2f}."


def _fastest(found: Mapping[str, Any], ours: str, row: PerformanceTarget) -> str:
    """Return which form of OpenVINO is the fastest where the target is missed by most."""
    _, cell = _cell(found, row)
    times = {name: statistics.median(cell[name]) for name in targets.OPENVINO if name in cell}
    text = f"The fastest is {min(times, key=times.__getitem__)}."
    plain = "OpenVINO int8, f32"
    if plain in cell:
        text += f" With float32 in place of bfloat16, OpenVINO gives {ratio(cell[plain], cell[ours]):.2f} there."
    return text


def _in_float(layers: Mapping[str, Sequence[str] | None]) -> list[str]:
    """Return a line on how many layers each of our exports keeps in float."""
    counts = [f"{name}: {len(names or ())}" for name, names in layers.items()]
    return ["", f"Layers that stay in float, of {'; of '.join(counts)}."] if counts else []


def _by_tokens(medians: dict[str, dict[str, float]]) -> list[str]:
    kinds = dict.fromkeys(name for cell in medians.values() for name in cell)
    rows = [[name, *(f"{cell[name]:.1f}" if name in cell else "" for cell in medians.values())] for name in kinds]
    return table(["", *(f"{int(tokens):,}" for tokens in medians)], rows)


def _medians(cells: Result) -> dict[str, dict[str, float]]:
    """Return the milliseconds of each model, and the floor, by tokens."""
    return {
        tokens: {name: statistics.median(times) for name, times in cell.items() if name not in PRODUCTS}
        | {"floor": statistics.median(targets.floors(cell, int(tokens)))}
        for tokens, cell in cells.items()
    }


def _judged(wanted: Sequence[PerformanceTarget], found: Mapping[str, str] = MappingProxyType({})) -> list[str]:
    """Return a table of targets, and why some of them are not met."""
    reasons = unmet(wanted, found)
    return [*judged(wanted), *(["", "Why a target is not met:", "", *reasons] if reasons else [])]


def built_in(found: Result) -> list[str]:
    rows = [
        [f"{threads} thread{'s' * (threads != '1')}", *(f"{statistics.median(cell[threads]):.2f}" for cell in cells)]
        for cells in [found["ms"].values()]
        for threads in next(iter(found["ms"].values()))
    ]
    known = read_manifest(BUILTIN).files[MODEL] == found["sha256"]
    return [
        "## The built-in classifier",
        "",
        *([] if known else ["**Measured with another built-in classifier than the present one.**", ""]),
        *_judged(targets.built_in(found), built_in_reasons(found)),
        "",
        "Milliseconds of a run of one prompt, by tokens:",
        "",
        *table(["", *found["ms"]], rows),
    ]


def built_in_reasons(found: Result) -> dict[str, str]:
    """Return what the built-in takes on each number of threads, on this CPU."""
    return {
        f"the built-in at {tokens} tokens": "On this CPU it takes "
        + ", and ".join(
            f"{statistics.median(times):.2f} ms on {threads} thread{'s' * (threads != '1')}"
            for threads, times in cell.items()
        )
        + "."
        for tokens, cell in found["ms"].items()
    }


def serving(found: Result) -> list[str]:
    lines = ["## Over HTTP"]
    for ours, what in ((OURS, "The default"), (TENSOR, "With `--activations tensor`")):
        lines += [
            "",
            f"{what}, beside the others:",
            "",
            *_judged(targets.serving(found, ours), serving_reasons(found, ours)),
        ]
    lines += [
        "",
        "If nothing but the runs took time, p95 of the mix with 8 clients would be, by the cost curve and in the",
        "better of two orders (first come, first served; the shortest first), at least",
        f"{found['least_p95_ms'][OURS]:.0f} ms, and {found['least_p95_ms'][TENSOR]:.0f} with `--activations tensor`.",
    ]
    for workload, cells in found["closed"].items():
        tokens = found["tokens"][workload]
        rows = [
            [name, *(_served(cell[name]) for cell in cells.values())]
            for name in dict.fromkeys(next(iter(cells.values())))
        ]
        rows += [
            [f"{name}, without HTTP", *(_served(rounds) if load == str(MANY) else "" for load in cells)]
            for name, rounds in found.get("alone", {}).get(workload, {}).items()
        ]
        rows += [
            [f"{name}, by its cost curve", *[f"{statistics.median(rates):.1f}"] * len(cells)]
            for name in found["ceiling"]
            if (rates := targets.ceilings(found, workload, name))
        ]
        arrivals = found["open"][workload]
        lines += [
            "",
            f"`{workload}`: {tokens['mean']} tokens on average, median {tokens['median']}, p95 {tokens['p95']}.",
            "Answers per second (p50 / p95 in ms), by the number of clients; each client waits for its answer:",
            "",
            *table(["", *cells], rows),
            "",
            "p50 / p95 in ms, by arrivals a second (Poisson):",
            "",
            *table(
                ["", *next(iter(arrivals.values()))],
                [[name, *map(_waited, rates.values())] for name, rates in arrivals.items()],
            ),
        ]
    return lines


def serving_reasons(found: Result, ours: str) -> dict[str, str]:
    """Return why targets over HTTP are not met, with the limits by the cost curve and the best peers."""
    reasons = {}
    wanted = {one.what: one for one in targets.serving(found, ours)}
    for what, workload in ((targets.SHORT, "short"), (targets.DEFAULT_INFINITY, "short"), (targets.MIX, "mix")):
        load, _, rival = wanted[what].at.partition(", ")
        if rates := targets.peers(found, workload, int(load.split()[0])) if load else {}:
            allowed = statistics.median(targets.ceilings(found, workload, ours)) / rates[rival]
            reasons[what] = (
                f"By its cost curve the runs alone give {allowed:.2f} times the rate of {rival} at {load}, where "
                f"{wanted[what].wanted:g} is wanted. The share by the cost curve tells what becomes of that."
            )
    rival = wanted[targets.ONE].at.partition(", ")[2]
    pairs = zip(*(targets.column(found, "short", 1, name) for name in (ours, rival)), strict=False)
    times = [mine / theirs for mine, theirs in pairs]
    reasons[targets.ONE] = (
        f"The rounds gave {min(times):.2f} to {max(times):.2f}: this host's pace changes by more than what is missing."
        if max(times, default=0.0) >= wanted[targets.ONE].wanted
        else "One client has one prompt in a run at a time, and what that takes is [above](#one-prompt-at-a-time)."
    )
    if workload := wanted[targets.SHARE].at:
        over_http, by_curve = targets.column(found, workload, MANY, ours), targets.ceilings(found, workload, ours)
        by_itself = [window["per_second"] for window in found.get("alone", {}).get(workload, {}).get(ours, ())]
        reasons[targets.SHARE] = (
            f"With the same texts in the same rounds, 32 clients without HTTP get "
            f"{statistics.median(targets.share_of(by_itself, by_curve)):.2f} of it, and over HTTP "
            f"{statistics.median(targets.share_of(over_http, by_itself)):.2f} of that."
            if by_itself
            else "This result has one curve, measured before all rounds, and this host's pace changes; newer ones have "
            "one in each round."
        )
    p95 = wanted[targets.MIX_P95]
    bound, peers = found["least_p95_ms"][ours], targets.peers(found, "mix", FEW, "p95_ms")
    if p95.at and (most := p95.wanted * peers[p95.at]) < bound:
        reasons[targets.MIX_P95] = (
            f"{p95.wanted:g} of {peers[p95.at]:,.0f} ms is {most:,.0f}. If nothing but the runs took time, the better "
            f"of two orders (first come, first served; the shortest first) would give {bound:,.0f} ms by the cost "
            f"curve. Of other orders this says nothing."
        )
    return reasons


def routed(found: Result) -> list[str]:
    def added(cell: Result, way: str) -> str:
        return " / ".join(f"{median(cell[way], p) - median(cell['direct'], p):.2f}" for p in ("p50_ms", "p95_ms"))

    ways = [way for way in found["ways"]["1"] if way != "direct"]
    return [
        "## Through the daemon",
        "",
        *_judged(targets.routed(found), routed_reasons(found)),
        "",
        "Milliseconds that routing adds to a chat completion (p50 / p95), by the number of clients. The upstream",
        f"answers after {found['delay_ms']:.0f} ms:",
        "",
        *table(["", *found["ways"]], [[way, *(added(cell, way) for cell in found["ways"].values())] for way in ways]),
    ]


def routed_reasons(found: Result) -> dict[str, str]:
    """Return how much of what the daemon adds it adds without classifying, too."""
    hit = targets.besides(found)["hit"]
    return {targets.BESIDES: f"A hit, which runs no model, adds {hit:.2f}: reading, sending and waking threads."}


def added(found: Result) -> list[str]:
    rows = [
        [
            f"{name}, {float(share):.0%} of {one['capacity']:.0f} a second",
            *(f"{median(cell[way], 'p50_ms'):.2f} / {median(cell[way], 'p95_ms'):.2f}" for way in ("direct", "routed")),
            f"{statistics.median(one['alone_ms']):.2f}",
            f"{targets.beyond_class(one)[share]:.2f}",
            *(f"{one[bound][share]:.2f}" if bound in one else "?" for bound in ("ideal_ms", "queue_ms")),
        ]
        for name, one in found["classifiers"].items()
        for share, cell in one["windows"].items()
    ]
    return [
        "## Added latency under load",
        "",
        *_judged(targets.added(found), added_reasons(found)),
        "",
        "Short prompts that are not in the cache arrive at random, at shares of what 128 clients reach that wait for",
        f"their answers. The upstream answers after {found['delay_ms']:.0f} ms; it and the load generator use the same",
        "cores. Milliseconds, p50 / p95; the class is the median of a classification alone. Two simulations with the",
        'same arrivals bound what is beyond it. "Runs alone" simulates a server that spends time on classification',
        'only, by the cost curve, in the better of two ways (texts that wait together share a run, or none do). "Its',
        'queue" simulates a server that has the same capacity, and takes the same time for each text:',
        "",
        *table(["", "direct", "routed", "class", "p50 beyond it", "runs alone", "its queue"], rows),
        *_phases(found),
    ]


def _phases(found: Result) -> list[str]:
    """Return a table of where the daemon spends the time; nothing if that was not measured."""
    rows = [
        [f"{name}, {float(share):.0%}", *(f"{ms[phase]:.2f}" for phase in (*PHASES, REST))]
        for name, one in found["classifiers"].items()
        for share, ms in one.get("phases_ms", {}).items()
        if ms
    ]
    if not rows:
        return []
    return [
        "",
        "Where the time went by the daemon's log, each the median of the last round in milliseconds; the rest is",
        "reading, sending, and waking threads:",
        "",
        *table(["", *PHASES, REST], rows),
    ]


def added_reasons(found: Result) -> dict[str, str]:
    """Return how much of what a request costs beyond its class is inevitable, by target."""
    return {
        f"{target} at {float(share):.0%} of the capacity, {name}": (
            f"Of {beyond:.2f} ms the bound has {least:.2f}.{_spent(one.get('phases_ms', {}).get(share))}"
        )
        for name, one in found["classifiers"].items()
        for share, beyond in targets.beyond_class(one).items()
        if not math.isnan(least := targets.least_wait(one, share))
        for target in (targets.BEYOND, targets.ABOVE)
    }


def _spent(phases_ms: Mapping[str, float] | None) -> str:
    """Return what the class and what is beyond it consist of."""
    if not phases_ms:
        return ""
    queue, tokenize, infer, rest = (f"{phases_ms[phase]:.2f}" for phase in ("queue", "tokenize", "infer", REST))
    return (
        f" With its class, a request waits {queue} ms, is tokenized in {tokenize} ms, runs for {infer} ms, and has "
        f"{rest} ms of reading, sending and waking threads, in the median."
    )


def soak(found: Result) -> list[str]:
    mib = found["mib"]
    return [
        "## Memory and the event loop",
        "",
        *_judged(targets.soak(found), soak_reasons(found)),
        "",
        "With prompts of 4 to 512 tokens at the highest rate that the daemon sustains, resident memory is",
        f"{mib[0]:.0f} MiB at the start, {mib[len(mib) // 4]:.0f} after a quarter of {found['seconds'][-1]:.0f} s, and",
        f"{mib[-1]:.0f} at the end.",
    ]


def soak_reasons(found: Result) -> dict[str, str]:
    """Return in what steps the memory grew after the warm-up."""
    mib, seconds = found["mib"], found["seconds"]
    warm = len(mib) // 4
    steps = [
        (after - before, at)
        for before, after, at in zip(mib[warm:], mib[warm + 1 :], seconds[warm + 1 :], strict=False)
        if after - before >= STEP_MIB
    ]
    if not steps:
        return {}
    sizes = [size for size, _ in steps]
    besides = mib[-1] - mib[warm] - sum(sizes)
    return {
        "memory in the last quarter": (
            f"After the warm-up memory grew in {len(steps)} steps of {min(sizes):.0f} to {max(sizes):.0f} MiB, the "
            f"last after {steps[-1][1]:.0f} of {seconds[-1]:.0f} s, and by {besides:.1f} MiB between these steps."
        )
    }


def overload(found: Result) -> list[str]:
    lines = ["## Overload", "", *_judged(targets.overload(found)), ""]
    for workload, outcome in found["workloads"].items():
        rows = [
            [
                reason,
                f"{times['answered'] / outcome['offered']:.1%}",
                f"{times['p50_ms']:.1f}",
                f"{times['p99_ms']:.1f}",
            ]
            for reason, times in outcome["outcomes"].items()
        ]
        sustained, admitted = (outcome[which]["per_second"] for which in ("sustained", "admitted"))
        lines += [
            f"`{workload}`: {outcome['offered']:,} requests arrived, at ten times the sustainable rate of",
            f"{sustained:.1f} per second; {admitted:.1f} per second were admitted:",
            "",
            *table(["reason of the decision", "share", "p50 ms", "p99 ms"], rows),
            "",
        ]
    return lines[:-1]


def gpu(file: Path) -> list[str]:
    """Return the section on a GPU, whose result another target writes."""
    found, said = None, "No card was at hand."
    if file.exists():
        result = json.loads(file.read_text())
        found = result["found"]
        said = f"On {'; '.join(found['card']['ready']['cards'])}: {_origin(result)}"
    return [
        "## On a GPU",
        "",
        "All texts pass the scheduler, as they do in the service (`make bench-gpu`).",
        "",
        *_judged(targets.gpu(found)),
        "",
        said,
    ]


SECTIONS = {
    "batch1": batch1,
    "built_in": built_in,
    "serving": serving,
    "routed": routed,
    "added": added,
    "soak": soak,
    "overload": overload,
}


def _served(rounds: list[dict[str, float]]) -> str:
    p50, p95 = (median(rounds, figure) for figure in ("p50_ms", "p95_ms"))
    return f"{median(rounds, 'per_second'):.1f} ({p50:.0f} / {p95:.0f})"


def _waited(window: dict[str, float]) -> str:
    return f"{window['p50_ms']:.0f} / {window['p95_ms']:.0f}" if window["answered"] else ""


def _origin(result: Result) -> str:
    runtimes = ("onnxruntime", "onnxruntime-gpu")
    parts = {name: result["versions"][name] for name in runtimes if name in result["versions"]}
    venvs = {"": parts} | (result["peers"] if "missing" in result["found"] else {})
    versions = [
        f"{peer and f'venv {peer}: '}{', '.join(f'{package} {version}' for package, version in packages.items())}"
        for peer, packages in venvs.items()
    ]
    took = f", {result['seconds']} s" if "seconds" in result else ""
    return (
        f"{processor(result['machine'])}, Python {result['python']}, {'; '.join(versions)}; "
        f"commit {result['commit']}, {result['time'][:10]}{took}."
    )


if __name__ == "__main__":
    main()

"""Render benchmarks/results/inference.md and its plots from the result files: python -m inference.report"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import plot
from markdown import judged, table

from inference import targets
from inference.serving import OURS, TENSOR, median
from inference.workplace import HERE
from pointsman.classify.artifact import BUILTIN, read_manifest

RESULTS = HERE.parent / "results"
LEAST_SHARE = 0.01
Result = dict[str, Any]


def main() -> None:
    RESULTS.joinpath("inference.md").write_text("\n".join(render(RESULTS)) + "\n")


def render(folder: Path) -> list[str]:
    """Return the lines of the report, and write its plots into `folder`. Missing measurements are mentioned."""
    lines = [
        "# Classification: how fast",
        "",
        "Rendered from the files beside it (`make bench-inference`). The model under test has ModernBERT-base's",
        "shape and random weights. All that is compared took turns; figures are medians, ratios are medians of the",
        "rounds' ratios, and of several lengths or loads a target judges the worst, which it names.",
        "",
    ]
    for part, section in SECTIONS.items():
        file = folder / f"inference-{part}.json"
        if not file.exists():
            lines += [f"`{part}` was not measured.", ""]
            continue
        result = json.loads(file.read_text())
        lines += [*section(result["found"], folder), "", _origin(result), ""]
        if missing := result["found"].get("missing"):
            lines += [f"Not measured, since it could not be run: {', '.join(missing)}.", ""]
    return lines


def batch1(found: Result, folder: Path) -> list[str]:
    medians = {
        tokens: {name: statistics.median(times) for name, times in cell.items() if not name.endswith("product")}
        | {"floor": statistics.median(targets.floors(cell, int(tokens)))}
        for tokens, cell in found["ms"].items()
    }
    names = dict.fromkeys(name for cell in medians.values() for name in cell)
    rows = [[name, *(f"{cell[name]:.1f}" if name in cell else "" for cell in medians.values())] for name in names]
    series = {name: [(float(tokens), cell[name]) for tokens, cell in medians.items() if name in cell] for name in names}
    built_in = read_manifest(BUILTIN).verification
    proofs = found["proofs"]
    alike = {"the built-in": built_in} | {name: proof for name, proof in proofs.items() if name.endswith("per token")}
    lines = [
        "## One prompt at a time",
        "",
        *judged([*targets.batch1(found), *targets.proofs(built_in, alike)]),
        "",
        "Milliseconds on two threads, by tokens:",
        "",
        *table(["", *(f"{int(tokens):,}" for tokens in medians)], rows),
        "",
        _plot(folder, "batch1", plot.lines(series, "tokens", "ms", logarithmic=True)),
        "",
        "The floor is what a bare u8 x s8 product takes for the linear layers, and a bare float product for the",
        "windowed attention; both were measured in the same rounds. Where a CPU has bfloat16, OpenVINO computes in it",
        "what is not int8, attention among it (the compiled model's INFERENCE_PRECISION_HINT); ours stays in float32.",
    ]
    for name, proof in proofs.items():
        if proof["float_layers"]:
            lines += ["", f"{name} keeps in float: {', '.join(proof['float_layers'])}."]
    for name, by_tokens in found["operators"].items():
        lines += ["", *_operators(name, by_tokens)]
    return lines


def _operators(name: str, by_tokens: dict[str, dict[str, float]]) -> list[str]:
    sums = {tokens: sum(spent.values()) for tokens, spent in by_tokens.items()}
    operators = dict.fromkeys(
        operator
        for tokens, spent in by_tokens.items()
        for operator in spent
        if spent[operator] > LEAST_SHARE * sums[tokens]
    )
    rows = [
        [
            operator,
            *(
                f"{(ms := spent.get(operator, 0.0)):.1f} ({ms / sums[tokens]:.0%})"
                for tokens, spent in by_tokens.items()
            ),
        ]
        for operator in operators
    ]
    return [
        f"Where the time of {name} goes, by ONNX Runtime's profile on one thread (ms; from {LEAST_SHARE:.0%} on):",
        "",
        *table(["", *(f"{int(tokens):,} tokens" for tokens in by_tokens)], rows),
    ]


def serving(found: Result, folder: Path) -> list[str]:
    lines = ["## Over HTTP"]
    for ours in (OURS, TENSOR):
        lines += ["", f"{ours}, beside the others:", "", *judged(targets.serving(found, ours))]
    for workload, cells in found["closed"].items():
        tokens = found["tokens"][workload]
        rows = [
            [name, *(_served(cell[name]) for cell in cells.values())]
            for name in dict.fromkeys(next(iter(cells.values())))
        ]
        rows += [
            [f"{name}, by its cost curve", *[f"{by_workload[workload]:.1f}"] * len(cells)]
            for name, by_workload in found["ceiling"].items()
        ]
        series = {
            f"{name}, {figure}": [
                (float(rate), window[f"{figure}_ms"]) for rate, window in rates.items() if window["answered"]
            ]
            for name, rates in found["open"][workload].items()
            for figure in ("p50", "p95")
        }
        lines += [
            "",
            f"`{workload}`: {tokens['mean']} tokens on average, median {tokens['median']}, p95 {tokens['p95']}.",
            "Answers a second (p50 / p95 in ms) by clients that each wait for their answer:",
            "",
            *table(["", *cells], rows),
            "",
            "Latency over Poisson arrivals:",
            "",
            _plot(folder, f"open-{workload}", plot.lines(series, "arrivals a second", "ms", logarithmic=True)),
        ]
    return lines


def routed(found: Result, _: Path) -> list[str]:
    def added(cell: Result, way: str) -> str:
        return " / ".join(f"{median(cell[way], p) - median(cell['direct'], p):.2f}" for p in ("p50_ms", "p95_ms"))

    ways = [way for way in found["ways"]["1"] if way != "direct"]
    return [
        "## Through the daemon",
        "",
        *judged(targets.routed(found)),
        "",
        "Milliseconds that a routed chat completion takes more than a direct one (p50 / p95), by clients; the",
        f"upstream answers after {found['delay_ms']:.0f} ms:",
        "",
        *table(["", *found["ways"]], [[way, *(added(cell, way) for cell in found["ways"].values())] for way in ways]),
    ]


def soak(found: Result, folder: Path) -> list[str]:
    series = {"resident": list(zip(found["seconds"], found["mib"], strict=True))}
    return [
        "## Memory and the event loop",
        "",
        *judged(targets.soak(found)),
        "",
        "Prompts of 4 to 512 tokens, as many as the daemon can take, resident MiB over seconds:",
        "",
        _plot(folder, "soak", plot.lines(series, "seconds", "MiB")),
    ]


def overload(found: Result, _: Path) -> list[str]:
    lines = ["## Overload", "", *judged(targets.overload(found)), ""]
    for workload, outcome in found["workloads"].items():
        rows = [
            [reason, f"{told['answered'] / outcome['offered']:.1%}", f"{told['p50_ms']:.1f}", f"{told['p99_ms']:.1f}"]
            for reason, told in outcome["outcomes"].items()
        ]
        sustained, admitted = (outcome[which]["per_second"] for which in ("sustained", "admitted"))
        lines += [
            f"`{workload}`: {outcome['offered']:,} requests came, ten times the {sustained:.1f} a second that could be",
            f"sustained, and {admitted:.1f} a second were admitted:",
            "",
            *table(["reason of the decision", "share", "p50 ms", "p99 ms"], rows),
            "",
        ]
    return lines[:-1]


SECTIONS = {"batch1": batch1, "serving": serving, "routed": routed, "soak": soak, "overload": overload}


def _served(rounds: list[dict[str, float]]) -> str:
    p50, p95 = (median(rounds, figure) for figure in ("p50_ms", "p95_ms"))
    return f"{median(rounds, 'per_second'):.1f} ({p50:.0f} / {p95:.0f})"


def _plot(folder: Path, name: str, svg: str) -> str:
    (folder / f"inference-{name}.svg").write_text(svg)
    return f"![{name}](inference-{name}.svg)"


def _origin(result: Result) -> str:
    machine, parts = result["machine"], {"onnxruntime": result["versions"]["onnxruntime"]}
    venvs = {"": parts} | (result["peers"] if "missing" in result["found"] else {})
    versions = [
        f"{peer and f'venv {peer}: '}{', '.join(f'{package} {version}' for package, version in packages.items())}"
        for peer, packages in venvs.items()
    ]
    return (
        f"{machine['cores']} cores of {machine['cpu']}, Python {result['python']}, {'; '.join(versions)}; "
        f"commit {result['commit']}, {result['time'][:10]}, {result['seconds']} s."
    )


if __name__ == "__main__":
    main()

"""Renders benchmarks/results/inference.md and its plots from the result files: PYTHONPATH=... -m inference.report"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import plot

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
    """The lines of the report; writes its plots beside the result files of `folder`. What was not measured is said."""
    lines = [
        "# Classification: how fast",
        "",
        "Rendered from the files beside it (`make bench-inference`). The model under test has ModernBERT-base's",
        "shape and random weights. All that is compared took turns; figures are medians, ratios are medians of the",
        "rounds' ratios.",
        "",
    ]
    for part, section in SECTIONS.items():
        file = folder / f"inference-{part}.json"
        if file.exists():
            result = json.loads(file.read_text())
            missing = result["found"].get("missing")
            lines += [*section(result["found"], folder), "", _origin(result), ""]
            lines += [_peers(result), ""] if part in WITH_PEERS else []
            lines += [f"Not measured, since it could not be run: {', '.join(missing)}.", ""] if missing else []
        else:
            lines += [f"`{part}` was not measured.", ""]
    return lines


def batch1(found: Result, folder: Path) -> list[str]:
    lines = ["## One prompt at a time", "", *_targets(targets.batch1(found)), ""]
    for threads, cells in found["threads"].items():
        names = [name for name in next(iter(cells.values())) if not name.endswith("product")]
        medians = {
            tokens: {name: statistics.median(cell[name]) for name in names if name in cell}
            | {"floor": statistics.median(targets.floors(cell, int(tokens)))}
            for tokens, cell in cells.items()
        }
        rows = [
            [name, *(f"{medians[tokens][name]:.1f}" if name in medians[tokens] else "" for tokens in cells)]
            for name in [*names, "floor"]
        ]
        counted = "one thread" if threads == "1" else f"{threads} threads"
        series = {
            name: [(float(tokens), cell[name]) for tokens, cell in medians.items() if name in cell]
            for name in [*names, "floor"]
        }
        lines += [
            f"Milliseconds on {counted}, by tokens:",
            "",
            *_table(["", *(f"{int(tokens):,}" for tokens in cells)], rows),
            "",
            _plot(folder, f"batch1-{threads}", plot.lines(series, "tokens", "ms", logarithmic=True)),
            "",
        ]
    return [
        *lines,
        "The floor is what a bare u8 x s8 product takes for the linear layers, and a bare float product for the",
        "windowed attention; both were measured in the same rounds.",
        *(line for name, by_tokens in found["operators"].items() for line in _operators(name, by_tokens)),
        *_proofs(found["proofs"]),
    ]


def _operators(name: str, by_tokens: dict[str, dict[str, float]]) -> list[str]:
    names = dict.fromkeys(operator for spent in by_tokens.values() for operator in spent)
    sums = {tokens: sum(spent.values()) for tokens, spent in by_tokens.items()}
    shares = {
        name: {tokens: spent.get(name, 0.0) / sums[tokens] for tokens, spent in by_tokens.items()} for name in names
    }
    rows = [
        [operator, *(f"{by_tokens[tokens].get(operator, 0.0):.1f} ({share:.0%})" for tokens, share in found.items())]
        for operator, found in shares.items()
        if max(found.values()) >= LEAST_SHARE
    ]
    head = ["", *(f"{int(tokens):,} tokens" for tokens in by_tokens)]
    told = f"Where the time of {name} goes, by ONNX Runtime's profile on one thread (ms; from {LEAST_SHARE:.0%} on):"
    return ["", told, "", *_table(head, rows)]


def _proofs(proofs: dict[str, Result]) -> list[str]:
    """Of the models under test, and of the built-in, whose weights are trained."""
    built_in = read_manifest(BUILTIN).verification
    scored_alike = {"the built-in": built_in} | {
        name: proof for name, proof in proofs.items() if "int8" in proof["batch"]["max_difference"]
    }
    independent = [targets.independence(name, proof) for name, proof in scored_alike.items()]
    kept = targets.labels_kept("the built-in", built_in)
    lines = ["", "## What int8 changes", "", *_targets([kept, *independent]), ""]
    if accuracy := built_in["accuracy"]:
        lines += [
            f"On {accuracy['rows']} labelled rows the built-in is right on {accuracy['float']:.1%} in float and on",
            f"{accuracy['int8']:.1%} in int8.",
        ]
    floats = {name: proof["float_layers"] for name, proof in proofs.items() if proof["float_layers"]}
    return [*lines, *(f"{name} keeps in float: {', '.join(layers)}." for name, layers in floats.items())]


def serving(found: Result, folder: Path) -> list[str]:
    lines = ["## Over HTTP"]
    for ours in (OURS, TENSOR):
        lines += ["", f"{ours}, beside the others:", "", *_targets(targets.serving(found, ours))]
    for workload, cells in found["closed"].items():
        tokens = found["tokens"][workload]
        names = dict.fromkeys(name for cell in cells.values() for name in cell)
        rows = [[name, *(_served(cells[load].get(name, [])) for load in cells)] for name in names]
        rows += [
            [f"{name}, by its cost curve", *[f"{by_workload[workload]:.1f}"] * len(cells)]
            for name, by_workload in found["ceiling"].items()
        ]
        lines += [
            "",
            f"`{workload}`: {tokens['mean']} tokens on average, median {tokens['median']}, p95 {tokens['p95']}.",
            "Answers a second (p50 / p95 in ms) by clients that each wait for their answer:",
            "",
            *_table(["", *cells], rows),
        ]
    for workload, servers in found["open"].items():
        series = {
            f"{name}, {figure}": [
                (float(rate), window[f"{figure}_ms"]) for rate, window in rates.items() if window["answered"]
            ]
            for name, rates in servers.items()
            for figure in ("p50", "p95")
        }
        svg = plot.lines(series, "arrivals a second", "ms", logarithmic=True)
        lines += ["", f"`{workload}`, latency over Poisson arrivals:", "", _plot(folder, f"open-{workload}", svg)]
    return lines


def routed(found: Result, _: Path) -> list[str]:
    rows = [
        [
            way,
            *(
                f"{median(cell[way], 'p50_ms') - median(cell['direct'], 'p50_ms'):.2f} / "
                f"{median(cell[way], 'p95_ms') - median(cell['direct'], 'p95_ms'):.2f}"
                for cell in found["ways"].values()
            ),
        ]
        for way in next(iter(found["ways"].values()))
        if way != "direct"
    ]
    return [
        "## Through the daemon",
        "",
        *_targets(targets.routed(found)),
        "",
        "Milliseconds that a routed chat completion takes more than a direct one (p50 / p95), by clients; the",
        f"upstream answers after {found['delay_ms']:.0f} ms:",
        "",
        *_table(["", *found["ways"]], rows),
    ]


def soak(found: Result, folder: Path) -> list[str]:
    series = {"resident": [(step["seconds"], step["mib"]) for step in found["steps"]]}
    return [
        "## Memory and the event loop",
        "",
        *_targets(targets.soak(found)),
        "",
        "Prompts of 4 to 512 tokens, as many as the daemon can take, resident MiB over seconds;",
        f"{found['ready_mib']} MiB when ready:",
        "",
        _plot(folder, "soak", plot.lines(series, "seconds", "MiB")),
    ]


def overload(found: Result, _: Path) -> list[str]:
    rows = [
        [
            workload,
            reason,
            f"{told['count'] / found[workload]['offered']:.1%}",
            f"{told['p50_ms']}",
            f"{told['p99_ms']}",
        ]
        for workload in ("mix", "short")
        for reason, told in found[workload]["by_reason"].items()
    ]
    offered = "; ".join(
        f"`{workload}`: {found[workload]['offered']:,} requests came, ten times the "
        f"{found[workload]['sustainable_per_second']} a second that were sustained, and "
        f"{found[workload]['admitted_per_second']} a second were admitted"
        for workload in ("mix", "short")
    )
    return [
        "## Overload",
        "",
        *_targets(targets.overload(found)),
        "",
        f"{offered}. By the reason of the decision:",
        "",
        *_table(["", "reason", "share", "p50 ms", "p99 ms"], rows),
    ]


SECTIONS = {"batch1": batch1, "serving": serving, "routed": routed, "soak": soak, "overload": overload}


WITH_PEERS = {"batch1", "serving"}


def _targets(rows: Iterable[targets.Target]) -> list[str]:
    return ["| target | measured | wanted | |", "| --- | --- | --- | --- |", *(target.row() for target in rows)]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, marks, *rows)]


def _served(rounds: list[dict[str, float]]) -> str:
    if not rounds:
        return ""
    return f"{median(rounds, 'per_second'):.1f} ({median(rounds, 'p50_ms'):.0f} / {median(rounds, 'p95_ms'):.0f})"


def _plot(folder: Path, name: str, svg: str) -> str:
    (folder / f"inference-{name}.svg").write_text(svg)
    return f"![{name}](inference-{name}.svg)"


def _origin(result: Result) -> str:
    machine, versions = result["machine"], result["versions"]
    return (
        f"{machine['cores']} cores of {machine['cpu']}, Python {result['python']}, "
        f"onnxruntime {versions['onnxruntime']}, commit {result['commit']}, {result['time'][:10]}, "
        f"{result['seconds']} s."
    )


def _peers(result: Result) -> str:
    found = [
        f"{peer} ({', '.join(f'{package} {version}' for package, version in packages.items())})"
        for peer, packages in result["peers"].items()
    ]
    return f"Venvs of the peers: {', '.join(found)}."


if __name__ == "__main__":
    main()

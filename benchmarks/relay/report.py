"""Render benchmarks/results/relay.md and its plots from relay.json: PYTHONPATH=... python -m relay.report"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import plot
from markdown import judged, table
from target import difference, median

from relay import targets
from relay.proxies import BEFORE, POINTSMAN
from relay.requests import DIRECT, HIT, SIZES
from relay.targets import column
from relay.workplace import HERE

RESULTS = HERE.parent / "results"
Result = dict[str, Any]
Cell = dict[str, list[dict[str, float]]]
BUSY = 0.95
"""Share of the load generator's core, above which the load generator is the bottleneck."""


def main() -> None:
    RESULTS.joinpath("relay.md").write_text("\n".join(render(RESULTS)) + "\n")


def render(folder: Path) -> list[str]:
    """Return the lines of the report, and write its plots beside `relay.json` in `folder`."""
    result = json.loads((folder / "relay.json").read_text())
    requests, streams = result["found"]["requests"], result["found"]["streams"]
    return [
        "# The relay: what it costs",
        "",
        "Rendered from `relay.json` (`make bench-relay`). What is compared takes turns, window by window; figures are",
        "medians over the rounds, ratios and differences are medians of the rounds' own. The proxy under test has a",
        "core for itself, the others are stopped meanwhile; what asks and what answers share another core. CPU is that",
        "of all processes of the proxy. All do the same, pass a chat with an explicit model on to one upstream, except",
        f'for "{HIT}", whose model is the automatic one. {POINTSMAN} and sglang-router write a line a',
        "request to their log, as they come; the others write none.",
        *_compared(result["peers"]),
        "",
        *judged([*targets.requests(requests), *targets.streams(streams)]),
        "",
        *_requests(requests, folder),
        "",
        *_streams(streams, folder),
        "",
        *_origin(result),
    ]


def _compared(versions: dict[str, str]) -> list[str]:
    if BEFORE not in versions:
        return []
    return [f'"{BEFORE}" is another installation, of version {versions[BEFORE]}, in the same run.']


def _requests(found: Result, folder: Path) -> list[str]:
    lines = ["## Requests"]
    for size, cells in found["cells"].items():
        ways = dict.fromkeys(name for cell in cells.values() for name in cell)
        rows = [
            [
                name,
                *(_cost(cell, name, "cpu_us") for cell in cells.values()),
                *(f"{_median(cell, name, 'per_second'):,.0f}{_limited(cell, name)}" for cell in cells.values()),
                _added(cells["1"], name, "p50_us"),
                f"{_median(cells['64'], name, 'p99_us'):,.0f}",
                f"{sum(sum(column(cell, name, 'failed')) for cell in cells.values()):.0f}",
            ]
            for name in ways
        ]
        head = ["", *(f"CPU, {c}" for c in cells), *(f"a second, {c}" for c in cells), "p50, 1", "p99, 64", "failed"]
        series = {
            name: [(float(clients), _median(cell, name, "cpu_us")) for clients, cell in cells.items()]
            for name in ways
            if name != DIRECT
        }
        svg = plot.lines(series, "clients", "us of CPU a request", logarithmic=True)
        lines += [
            "",
            f"A request of {size}, an answer of 1 KiB: microseconds of CPU a request, requests a second, and latency",
            "in microseconds (p50: what a proxy adds), by clients that each wait for their answer:",
            "",
            *table(head, rows),
            "",
            _plot(folder, f"cpu-{SIZES[size] // 1024}k", svg),
        ]
    return [
        *lines,
        "",
        f"* The load's core was busy for more than {BUSY:.0%}, so that this is its limit, not the proxy's.",
        _trust(found["cells"].values()),
    ]


def _streams(found: Result, folder: Path) -> list[str]:
    cells: dict[str, Cell] = found["cells"]
    lines = [
        "## Streams",
        "",
        f"Streams of {found['chunks']} chunks, one every {found['interval_ms']:g} ms, spread evenly: no two streams",
        "send at the same time. They begin within the first quarter of it. Each chunk carries the moment at which it",
        "was sent. Microseconds of CPU a chunk, the request's included, and what a proxy adds to the way of the first",
        "chunk (from the request on, less the interval) and of every chunk:",
    ]
    for streams, cell in cells.items():
        rows = [
            [
                name,
                _cost(cell, name, "cpu_us"),
                *(_added(cell, name, of) for of in ("first_p50_us", "first_p99_us", "delay_p50_us", "delay_p99_us")),
                f"{min(column(cell, name, 'whole')):.0f}",
                f"{_median(cell, name, 'proxy_busy'):.0%}",
                f"{_median(cell, name, 'load_busy'):.0%}",
            ]
            for name in cell
        ]
        head = ["", "CPU", "first p50", "first p99", "chunk p50", "chunk p99", "whole", "proxy's core", "load's core"]
        lines += ["", f"{streams} at once:", "", *table(head, rows)]
    series = {
        name: [(float(streams), _median(cell, name, "delay_p99_us")) for streams, cell in cells.items() if name in cell]
        for name in next(iter(cells.values()))
    }
    # Only the windows of the first round: allocators keep memory, so later windows show the maximum of all.
    memory = [
        [name, f"{mib:.1f}", *(f"{cell[name][0]['growth_kib']:.1f}" if name in cell else "" for cell in cells.values())]
        for name, mib in found["at_rest_mib"].items()
    ]
    return [
        *lines,
        "",
        "p99 of a chunk's way, from its sending to its reading:",
        "",
        _plot(folder, "delay", plot.lines(series, "streams", "us", logarithmic=True)),
        "",
        "Memory: MiB at rest (proportional set size), and KiB by which the resident set grew for each stream:",
        "",
        *table(["", "at rest", *(f"a stream, of {streams}" for streams in cells)], memory),
        "",
        _trust([cells]),
    ]


def _trust(sizes: Iterable[dict[str, Cell]]) -> str:
    """Return a paragraph on the reliability of the figures."""
    windows = [window for cells in sizes for cell in cells.values() for rounds in cell.values() for window in rounds]
    others = [window["others_busy"] for window in windows]
    late = [window["late_p99_us"] for window in windows if "late_p99_us" in window]
    told = f"Other programs kept {median(others):.2f} cores busy (median of the windows; {max(others):.2f} at most)."
    if late:
        told += f" The sender was late by {median(late):,.0f} us at the 99th percentile; no figure includes that."
    return told


def _cost(cell: Cell, name: str, figure: str) -> str:
    return "" if name == DIRECT else f"{_median(cell, name, figure):,.1f}"


def _added(cell: Cell, name: str, figure: str) -> str:
    """Return what a proxy adds to the direct path, or the whole figure for the direct path itself."""
    if name == DIRECT:
        return f"{_median(cell, name, figure):,.0f}"
    return f"{difference(column(cell, name, figure), column(cell, DIRECT, figure)):+,.0f}"


def _median(cell: Cell, name: str, figure: str) -> float:
    return median(column(cell, name, figure))


def _limited(cell: Cell, name: str) -> str:
    return "*" if name != DIRECT and _median(cell, name, "load_busy") > BUSY else ""


def _plot(folder: Path, name: str, svg: str) -> str:
    (folder / f"relay-{name}.svg").write_text(svg)
    return f"![{name}](relay-{name}.svg)"


def _origin(result: Result) -> list[str]:
    machine, peers = result["machine"], result["peers"]
    found = result["found"]
    missing = dict.fromkeys([*found["requests"]["missing"], *found["streams"]["missing"]])
    lines = [
        f"{machine['cores']} cores of {machine['cpu']} (proxy on {result['cores']['proxy']}, load on",
        f"{result['cores']['load']}), {machine['system']}, Python {result['python']}, commit {result['commit']},",
        f"{result['time'][:10]}, {result['seconds']} s.",
        f"Peers: {', '.join(f'{name} {version}' for name, version in peers.items())}.",
    ]
    return [*lines, *([f"Not measured, since it could not be run: {', '.join(missing)}."] if missing else [])]


if __name__ == "__main__":
    main()

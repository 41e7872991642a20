"""Render benchmarks/results/relay.md from relay.json: PYTHONPATH=... python -m relay.report"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from markdown import judged, table, unmet
from provenance import processor
from target import difference, median, ratio

from relay import exchange, targets
from relay.proxies import BEFORE, POINTSMAN, QUIET
from relay.requests import DIRECT, HIT, MISS, SIZES
from relay.targets import column
from relay.workplace import HERE

RESULTS = HERE.parent / "results"
Result = dict[str, Any]
Cell = dict[str, list[dict[str, float]]]
BUSY = 0.95
"""Share of the load generator's core, above which the load generator is the bottleneck."""
ROUTING = (
    "A hit does what no other proxy here does: it reads the messages, finds the ask, identifies client and "
    "conversation, decides, and edits the body. [path.md](path.md) has the cost of it without any socket. With cold "
    "caches each part takes longer, and between two requests other code runs."
)
READING = " Reading 64 KiB to find the model takes its part, too: see [path.md](path.md)."
REASONS = {f"CPU a cache hit, {size}, times vllm-router's": ROUTING for size in SIZES} | {
    "CPU more with a cache hit": ROUTING,
    **{
        f"CPU a cache hit, {size}, times {BEFORE}'s": "0.1 looked for no ask and for no conversation." for size in SIZES
    },
}
"""The reason why a target is not met, by the beginning of its name; the first match counts."""


def main() -> None:
    RESULTS.joinpath("relay.md").write_text("\n".join(render(RESULTS)) + "\n")


def render(folder: Path) -> list[str]:
    """Return the lines of the report on `relay.json` in `folder`."""
    result = json.loads((folder / "relay.json").read_text())
    requests, streams = result["found"]["requests"], result["found"]["streams"]
    wanted = [*targets.requests(requests), *targets.streams(streams)]
    reasons = REASONS | _unlogged(requests) | _few(streams) | _many(streams)
    return [
        "# The relay: cost per request",
        "",
        "Rendered from `relay.json` (`make bench-relay`). The proxies take turns, window by window. A figure is the",
        "median of the rounds; a ratio or difference is the median of those of each round. The proxy under test has a",
        "core to itself while the others are stopped; the load generator and the upstream share another core. CPU is",
        "the sum over all processes of the proxy. Each proxy forwards a chat completion with an explicit model to one",
        f'upstream; "{HIT}" and "{MISS}" are for the automatic model, a hit for one',
        f"of {exchange.LENGTHS} questions again and again, a miss for one that is new and is classified. Misses are",
        "measured with one client: it keeps the classifier busy, and more would mostly run into the deadline.",
        f"{POINTSMAN} and sglang-router log one line per request, their default; the others log nothing.",
        "Requests have the headers of OpenAI's client for Python and, as the responses, another length each time; each",
        "response has another request id, and the date of its second.",
        *_compared(result),
        *_asked(requests),
        "",
        *judged(wanted),
        "",
        "Why a target is not met:",
        "",
        *unmet(wanted, reasons),
        "",
        *_requests(requests),
        "",
        *_streams(streams),
        "",
        *_origin(result),
    ]


def _unlogged(requests: Result) -> dict[str, str]:
    """Return the remaining cost over a peer if no request is logged, as the peers do not log either."""
    return {
        f"CPU a request, {size}, times {peer}'s": (
            f"{peer} logs nothing. Without its line for each request, {POINTSMAN} takes at most {max(times):.2f} times "
            f"as much.{READING if size == '64 KiB' else ''}"
        )
        for size, cells in requests["cells"].items()
        for peer in ("vllm-router", "Envoy", "nginx")
        if (times := [ratio(column(cell, QUIET, "cpu_us"), column(cell, peer, "cpu_us")) for cell in cells.values()])
        and not any(map(math.isnan, times))
    }


def _few(streams: Result) -> dict[str, str]:
    """Return how much more a chunk costs of few streams than of many."""
    few, most = (streams["cells"].get(many, {}) for many in (targets.MANY, targets.MAX_STREAMS))
    more = {
        name: _median(few, name, "cpu_us") / _median(most, name, "cpu_us")
        for name in ("vllm-router", "nginx", POINTSMAN)
        if name in few and name in most
    }
    text = "; ".join(f"{name} {times:.1f}" for name, times in more.items())
    return {
        f"CPU a chunk at {targets.MANY} streams, times {peer}'s": (
            f"Of few streams few chunks share a wake-up. A chunk takes more than of {targets.MAX_STREAMS}, in times: "
            f"{text}."
        )
        for peer in ("vllm-router", "nginx")
        if more
    }


def _many(streams: Result) -> dict[str, str]:
    """Return the cost of a chunk of many streams compared with nginx's, and its waiting time."""
    most = streams["cells"].get(targets.MAX_STREAMS, {})
    peer = "nginx"
    if not {POINTSMAN, peer} <= most.keys():
        return {}
    a_second = int(targets.MAX_STREAMS) * 1000 / streams["interval_ms"]

    def busy(name: str) -> tuple[str, str]:
        """Return the shares of both cores while all streams run, which is not all of the time."""
        proxy = median([window["cpu_us"] * a_second / 1e6 for window in most[name]])
        load = median([one["load_busy"] * one["seconds"] * a_second / one["chunks"] for one in most[name]])
        return f"{proxy:.0%}", f"{load:.0%}"

    kernel = {name: median([window.get("system_us", math.nan) for window in most[name]]) for name in (POINTSMAN, peer)}
    text = "" if any(map(math.isnan, kernel.values())) else f" ({kernel[POINTSMAN]:.1f} and {kernel[peer]:.1f} us)"
    (ours, load), others = busy(POINTSMAN), busy(peer)
    return {
        f"CPU a chunk at {targets.MAX_STREAMS} streams, times {peer}'s": (
            f"Both read once and write once whatever has come of a stream, so that the kernel takes about as much"
            f"{text}. The rest is {POINTSMAN}'s own, in Python."
        ),
        "added p99 of a chunk": (
            f"While all streams run, the core of {POINTSMAN} is busy for {ours} of the time and that of the load "
            f"generator, which sends and reads, for {load}: a chunk waits behind others on either. {peer} adds "
            f"{targets.late_ms(streams, peer):.1f} ms, with {' and '.join(others)}."
        ),
    }


def _compared(result: Result) -> list[str]:
    if BEFORE not in result["peers"]:
        return []
    commit = result.get("before_commit") or "not named by the result"
    return [
        f'"{BEFORE}" is a second installation, version {result["peers"][BEFORE]}, commit {commit}, in the same',
        "run.",
    ]


def _asked(requests: Result) -> list[str]:
    """Return what differs where the automatic requests asked something else than they do now."""
    if requests.get("question") == exchange.QUESTION:
        return []
    return ["**Measured with another question, for which a hit edits the model alone: it stays under its threshold.**"]


def _requests(found: Result) -> list[str]:
    lines = ["## Requests"]
    for size, cells in found["cells"].items():
        ways = dict.fromkeys(name for cell in cells.values() for name in cell)
        rows = [
            [
                name,
                *(_cost(cell, name, "cpu_us") for cell in cells.values()),
                *(_whole(cell, name, "per_second") + _limited(cell, name) for cell in cells.values()),
                _added(cells["1"], name, "p50_us"),
                _whole(cells["64"], name, "p99_us"),
                f"{sum(sum(column(cell, name, 'failed')) for cell in cells.values()):.0f}",
            ]
            for name in ways
        ]
        head = ["", *(f"CPU, {c}" for c in cells), *(f"per second, {c}" for c in cells), "p50, 1", "p99, 64", "failed"]
        lines += [
            "",
            f"A request of {size} or a few bytes less, a response of 1 KiB or a few bytes more, by the number of",
            "clients; each client waits for its response. CPU: microseconds per request. p50: microseconds that the",
            "proxy adds. p99: microseconds in total:",
            "",
            *table(head, rows),
        ]
    return [
        *lines,
        "",
        f"* The load generator's core was more than {BUSY:.0%} busy: this is its limit, not the proxy's.",
        _trust(found["cells"].values()),
    ]


def _streams(found: Result) -> list[str]:
    cells: dict[str, Cell] = found["cells"]
    lines = [
        "## Streams",
        "",
        f"Streams of {found['chunks']} chunks, one every {found['interval_ms']:g} ms. All start within a quarter",
        "of the interval, evenly spaced, so that no two streams send at the same time. Each chunk carries the time",
        "of its sending. CPU: microseconds per chunk, including its share of the request. First: microseconds that the",
        "proxy adds to the time from the request to the first chunk (without the interval). Chunk: microseconds that",
        "it adds to the transit time of each chunk:",
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
    # Only the windows of the first round: allocators keep memory, so later windows show the maximum of all.
    memory = [
        [name, f"{mib:.1f}", *(f"{cell[name][0]['growth_kib']:.1f}" if name in cell else "" for cell in cells.values())]
        for name, mib in found["at_rest_mib"].items()
    ]
    return [
        *lines,
        "",
        "Memory: MiB at rest (proportional set size), and growth of the resident set per stream in KiB:",
        "",
        *table(["", "at rest", *(f"per stream, of {streams}" for streams in cells)], memory),
        "",
        _trust([cells]),
    ]


def _trust(sizes: Iterable[dict[str, Cell]]) -> str:
    """Return a paragraph on the reliability of the figures."""
    windows = [window for cells in sizes for cell in cells.values() for rounds in cell.values() for window in rounds]
    others = [window["others_busy"] for window in windows]
    late = [window["late_p99_us"] for window in windows if "late_p99_us" in window]
    text = f"Other programs used {median(others):.2f} cores (median of the windows; at most {max(others):.2f})."
    if late:
        text += f" The sender was {median(late):,.0f} us late at the 99th percentile; the figures do not include this."
    return text


def _cost(cell: Cell, name: str, figure: str) -> str:
    return "" if name == DIRECT or name not in cell else f"{_median(cell, name, figure):,.1f}"


def _whole(cell: Cell, name: str, figure: str) -> str:
    return f"{_median(cell, name, figure):,.0f}" if name in cell else ""


def _added(cell: Cell, name: str, figure: str) -> str:
    """Return what a proxy adds to the direct path, or the whole figure for the direct path itself."""
    if name == DIRECT:
        return f"{_median(cell, name, figure):,.0f}"
    return f"{difference(column(cell, name, figure), column(cell, DIRECT, figure)):+,.0f}"


def _median(cell: Cell, name: str, figure: str) -> float:
    return median(column(cell, name, figure))


def _limited(cell: Cell, name: str) -> str:
    return "*" if name != DIRECT and _median(cell, name, "load_busy") > BUSY else ""


def _origin(result: Result) -> list[str]:
    machine, peers = result["machine"], result["peers"]
    found = result["found"]
    missing = dict.fromkeys([*found["requests"]["missing"], *found["streams"]["missing"]])
    lines = [
        f"{processor(machine)} (proxy on {result['cores']['proxy']}, load on",
        f"{result['cores']['load']}), {machine['system']}, Python {result['python']}, commit {result['commit']},",
        f"{result['time'][:10]}, {result['seconds']} s.",
        f"Peers: {', '.join(f'{name} {version}' for name, version in peers.items())}.",
    ]
    return [*lines, *([f"Not measured, since it could not be run: {', '.join(missing)}."] if missing else [])]


if __name__ == "__main__":
    main()

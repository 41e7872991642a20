"""Define the targets of the relay, and compare the measurements with them; pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from target import PerformanceTarget, at_least, at_most, difference, median, ratio

from relay.proxies import BEFORE, POINTSMAN, QUIET
from relay.requests import BEFORE_HIT, DIRECT, HIT

Found = Mapping[str, Any]
MANY, MAX_STREAMS = "64", "1000"


def requests(found: Found) -> list[PerformanceTarget]:
    """Return the targets of requests, by the CPU of the proxy's process tree; a ratio below 1 beats the peer."""
    cells = {
        (size, concurrency): cell
        for size, by_concurrency in found["cells"].items()
        for concurrency, cell in by_concurrency.items()
    }

    def times(peer: str, size: str, ours: str = POINTSMAN) -> dict[str, float]:
        return {
            f"({concurrency} clients)": ratio(column(cell, ours, "cpu_us"), column(cell, peer, "cpu_us"))
            for (of, concurrency), cell in cells.items()
            if of == size
        }

    def added(name: str, size: str) -> float:
        cell = cells[size, "1"]
        return difference(column(cell, name, "p50_us"), column(cell, DIRECT, "p50_us"))

    more = {
        f"({concurrency} clients)": difference(column(cell, HIT, "cpu_us"), column(cell, POINTSMAN, "cpu_us"))
        for (size, concurrency), cell in cells.items()
        if size == "1 KiB"
    }
    return [
        *(
            at_most(f"CPU a request, {size}, times {peer}'s{aim}", most, times(peer, size))
            for peer, most, aim in (
                ("vllm-router", 1.0, ""),
                ("Envoy", 1.0, ""),
                ("nginx", 2.5, " (aim)"),
                (BEFORE, 1.0, ""),
            )
            for size in found["cells"]
        ),
        *(
            at_most(f"CPU a request, {size}, no log, times vllm-router's", 1.0, times("vllm-router", size, QUIET))
            for size in found["cells"]
        ),
        *(
            at_most(f"CPU a cache hit, {size}, times {peer}'s", 1.0, times(way, size, HIT))
            for peer, way in (("vllm-router", "vllm-router"), (BEFORE, BEFORE_HIT))
            for size in found["cells"]
        ),
        *(
            at_most(
                f"added p50 at 1 client, {size}, us: vllm-router's",
                added("vllm-router", size),
                {"": added(POINTSMAN, size)},
            )
            for size in found["cells"]
        ),
        at_most("CPU more with a cache hit, 1 KiB, us", 40.0, more),
    ]


def streams(found: Found) -> list[PerformanceTarget]:
    """Return the targets of a chunk's CPU and delay."""
    most = found["cells"].get(MAX_STREAMS, {})
    whole = median(column(most, POINTSMAN, "whole")) / int(MAX_STREAMS)

    def times(peer: str, streams: str) -> float:
        cell = found["cells"].get(streams, {})
        return ratio(column(cell, POINTSMAN, "cpu_us"), column(cell, peer, "cpu_us"))

    return [
        *(
            at_most(f"CPU a chunk at {streams} streams, times {peer}'s{aim}", wanted, {"": times(peer, streams)})
            for peer, wanted, aim in (("vllm-router", 1.0, ""), ("nginx", 1.2, " (aim)"), (BEFORE, 1.0, ""))
            for streams in (MANY, MAX_STREAMS)
        ),
        at_least(f"share of {MAX_STREAMS} streams that came whole", 1.0, {"": whole}),
        at_most(f"added p99 of a chunk at {MAX_STREAMS} streams, ms", 5.0, {"": late_ms(found, POINTSMAN)}),
    ]


def late_ms(found: Found, name: str) -> float:
    """Return the milliseconds that a way adds to the p99 of a chunk at MAX_STREAMS streams."""
    most = found["cells"].get(MAX_STREAMS, {})
    return difference(column(most, name, "delay_p99_us"), column(most, DIRECT, "delay_p99_us")) / 1000


def column(cell: Found, name: str, figure: str) -> Sequence[float]:
    """Return a figure of one way, by rounds; empty if it was not measured."""
    return [window[figure] for window in cell.get(name, ())]

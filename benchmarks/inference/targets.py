"""Define the targets of classification, and compare the measurements with them; pure functions."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from target import PerformanceTarget, at_least, at_most, ratio

from inference.batch1 import THREADS, VARIANTS, floor_ms
from inference.overload import REFUSED
from inference.servers import PEERS
from inference.serving import FEW, MANY

Found = Mapping[str, Any]
Rounds = Mapping[str, Sequence[float]]
"""Milliseconds by variant, round by round."""

DEFAULT, TENSOR = "ours int8 per token", "ours int8 per tensor"
"""The results of `export`, and of `export --activations tensor`."""
OPENVINO = [name for name in VARIANTS if name.startswith("OpenVINO")]
OPENVINO_WEIGHTS = [name for name in OPENVINO if "weights" in name]
"""Quantized in the weights alone: of its int8 forms, the one that changes the answers least."""

LIKE_FIDELITY = "speed-up over OpenVINO at like fidelity"
FASTEST = "speed-up over OpenVINO's fastest form"
SHORT = "short: throughput relative to the best peer, 8 and 32 clients"
DEFAULT_INFINITY = "short: throughput relative to default infinity, 8 and 32 clients"
ONE = "short: throughput relative to the best peer, 1 client"
MIX = "mix: throughput relative to the best peer, 8 clients"
SHARE = "share of the throughput by the cost curve, 32 clients"
MIX_P95 = "mix: p95 relative to the best peer, 8 clients"
BESIDES = "p50 added besides classification, built-in, 1 client, ms"
BEYOND = "p50 beyond its class"
ABOVE = "p50 above the bound"
"""Targets whose reasons follow from what was found."""

FLAT = 1.02
"""Memory growth that a soak of minutes cannot distinguish from noise."""
AT_ONCE_MS = 20.0


def floors(cell: Rounds, tokens: int) -> list[float]:
    """Return the lower bound in ms for each round."""
    return [floor_ms(tokens, *rates) for rates in zip(cell["int8 product"], cell["float product"], strict=True)]


def batch1(found: Found, ours: str) -> list[PerformanceTarget]:
    """Return the targets of single prompts, for one of our models."""

    def cells(first: int = 0, last: int = 2048, threads: tuple[str, ...] = (str(THREADS),)) -> dict[str, Rounds]:
        return {
            f"{int(tokens):,} tokens, {many} thread{'s' * (many != '1')}": cell
            for many in threads
            for tokens, cell in found["ms"][many].items()
            if first <= int(tokens) <= last
        }

    def times(rivals: Sequence[str], among: Mapping[str, Rounds]) -> dict[str, float]:
        """Return the speed-up over the fastest of the rivals by cell."""
        return {
            at: min((ratio(cell[rival], cell.get(ours, ())) for rival in rivals if rival in cell), default=math.nan)
            for at, cell in among.items()
        }

    either = cells(threads=("1", str(THREADS)))
    return [
        at_least("speed-up over optimum's float, from 32 tokens", 3.0, times(["optimum float"], cells(first=32))),
        at_least("speed-up over optimum's int8, up to 256 tokens", 1.15, times(["optimum int8"], cells(last=256))),
        at_least("speed-up over optimum's int8, from 512 tokens", 1.4, times(["optimum int8"], cells(first=512))),
        at_least(LIKE_FIDELITY, 1.0, times(OPENVINO_WEIGHTS, either)),
        at_least(FASTEST, 0.95, times(OPENVINO, either)),
        at_most(
            "time relative to the floor, at 128 tokens",
            1.5,
            {at: ratio(cell.get(ours, ()), floors(cell, 128)) for at, cell in cells(128, 128).items()},
        ),
    ]


def built_in(found: Found) -> list[PerformanceTarget]:
    """Return the targets of the built-in's times."""
    return [
        at_most(
            f"the built-in at {tokens} tokens, ms",
            wanted,
            {
                f"on {threads} thread{'s' * (threads != '1')}": statistics.median(times)
                for threads, times in found["ms"][str(tokens)].items()
            },
        )
        for tokens, wanted in ((32, 3.0), (128, 8.0))
    ]


def proofs(built_in: Found, models: Mapping[str, Found]) -> list[PerformanceTarget]:
    """Return the targets of the manifests: the trained built-in model, and the models under test by name."""
    agreement = built_in["agreement"]
    same_label = {f"({agreement['texts']:,} texts)": agreement["share"]}
    moved = {name: proof["batch"]["max_difference"]["int8"] for name, proof in models.items()}
    return [
        at_least("share of texts with the same label in int8, built-in", 0.99, same_label),
        at_most("change of a logit by other texts in the batch, int8 per token", 1e-4, moved),
    ]


def column(found: Found, workload: str, load: int, name: str, figure: str = "per_second") -> list[float]:
    """Return a figure of a server, by rounds; empty if it was not measured."""
    return [window[figure] for window in found["closed"][workload][str(load)].get(name, ())]


def ceilings(found: Found, workload: str, name: str) -> list[float]:
    """Return the rates by the cost curve, by rounds; older results have one curve for all."""
    measured = found["ceiling"].get(name, {}).get(workload, [])
    return measured if isinstance(measured, list) else [measured] * len(column(found, workload, MANY, name))


def peers(found: Found, workload: str, load: int, figure: str = "per_second") -> dict[str, float]:
    """Return the median of a figure by peer."""
    rounds = {name: column(found, workload, load, name, figure) for name in PEERS}
    return {name: statistics.median(values) for name, values in rounds.items() if values}


def serving(found: Found, ours: str) -> list[PerformanceTarget]:
    """Return the targets of one of our servers against the best peer of each cell, by the figure that is judged."""

    def times(workload: str, loads: Collection[int], rival: str = "") -> dict[str, float]:
        medians = {load: peers(found, workload, load) for load in loads}
        rivals = {
            load: rival or max(rates, key=rates.__getitem__, default="no peer") for load, rates in medians.items()
        }
        return {
            f"{load} client{'s' * (load > 1)}, {name}": ratio(
                column(found, workload, load, ours), column(found, workload, load, name)
            )
            for load, name in rivals.items()
        }

    waits = peers(found, "mix", FEW, "p95_ms")
    rival = min(waits, key=waits.__getitem__, default="no peer")
    slower = ratio(column(found, "mix", FEW, ours, "p95_ms"), column(found, "mix", FEW, rival, "p95_ms"))
    shares = {
        workload: statistics.median(share_of(column(found, workload, MANY, ours), ceilings(found, workload, ours)))
        for workload in found["ceiling"].get(ours, {})
    }
    return [
        at_least(SHORT, 1.6, times("short", (8, 32))),
        at_least(
            DEFAULT_INFINITY,
            4.0,
            times("short", (8, 32), "infinity, torch"),
        ),
        at_least(ONE, 1.0, times("short", (1,))),
        at_least(MIX, 1.25, times("mix", (8,))),
        at_most(MIX_P95, 0.5, {rival: slower}),
        at_least(SHARE, 0.85, shares),
    ]


def share_of(part: Sequence[float], whole: Sequence[float]) -> list[float]:
    """Return the share of each round; a server that is slow has no part in the last ones."""
    return [one / of for one, of in zip(part, whole, strict=False)]


def besides(found: Found) -> dict[str, float]:
    """Return the milliseconds at p50 that the daemon with the built-in adds besides classification, by way."""
    ways, alone = found["ways"]["1"], found["built_in_us"]
    return {
        way: statistics.median(
            through["p50_ms"] - direct["p50_ms"] - us / 1000
            for through, direct, us in zip(ways[f"built-in, {way}"], ways["direct"], alone[way], strict=True)
        )
        for way in ("miss", "hit")
    }


def routed(found: Found) -> list[PerformanceTarget]:
    """Return the targets of the classifier's cost, and of what the daemon adds."""
    return [
        at_most("a hit in the classifier, microseconds", 20.0, {"": statistics.median(found["built_in_us"]["hit"])}),
        at_most(BESIDES, 1.0, besides(found)),
    ]


def beyond_class(found: Found) -> dict[str, float]:
    """Return the milliseconds of a routed request beyond its class at p50, by share of the capacity."""
    return {
        share: statistics.median(
            routed["p50_ms"] - direct["p50_ms"] - alone
            for routed, direct, alone in zip(cell["routed"], cell["direct"], found["alone_ms"], strict=True)
        )
        for share, cell in found["windows"].items()
    }


def least_wait(found: Found, share: str) -> float:
    """Return the milliseconds of them that the better bound says are inevitable; NaN if it was not computed."""
    return max((found[bound][share] for bound in ("ideal_ms", "queue_ms") if bound in found), default=math.nan)


def added(found: Found) -> list[PerformanceTarget]:
    """Return the targets of what a routed request costs beyond its class, and of what of that is not inevitable."""
    rows = []
    for name, one in found["classifiers"].items():
        for share, ms in beyond_class(one).items():
            at = f"at {float(share):.0%} of the capacity, {name}, ms"
            rows += [
                at_most(f"{BEYOND} {at}", 1.0, {"": ms}),
                at_most(f"{ABOVE} {at}", 1.0, {"": ms - least_wait(one, share)}),
            ]
    return rows


def soak(found: Found) -> list[PerformanceTarget]:
    """Return the targets of memory and event loop."""
    return [
        at_most("memory in the last quarter relative to the second", FLAT, {"": found["growth"]}),
        at_most("p99 of the event loop's lag under saturation, ms", 5.0, {"": found["lag_p99_ms"]}),
    ]


def gpu(found: Found | None) -> list[PerformanceTarget]:
    """Return the targets on a CUDA card; without a result they are not measured."""
    latency: Found = found["latency_ms"] if found else {}
    short: Found = found["short_texts"] if found else {}
    rates = ((one["per_second"], f"{in_flight} in flight") for in_flight, one in short.items())
    most = max(rates, default=(math.nan, ""))
    return [
        at_most("p50 of a text of 512 tokens, ms", 2.0, {"": latency["512"]["median"]} if "512" in latency else {}),
        PerformanceTarget("short texts a second", most[0], "at least", 5000.0, most[1]),
    ]


def overload(found: Found) -> list[PerformanceTarget]:
    """Return the targets under overload: admitted requests meet the deadline, and others do not wait."""
    admitted = {name: outcome["admitted"]["p99_ms"] for name, outcome in found["workloads"].items()}
    refused = {
        f"{name}, {reason}": times["p99_ms"]
        for name, outcome in found["workloads"].items()
        for reason, times in outcome["outcomes"].items()
        if reason in REFUSED
    }
    return [
        at_most("p99 of admitted requests, ms", found["deadline_ms"], admitted),
        at_most("p99 of refused requests, ms", AT_ONCE_MS, refused),
    ]

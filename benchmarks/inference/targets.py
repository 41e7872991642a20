"""What was promised, beside what was measured. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inference.batch1 import floor_ms
from inference.overload import REFUSED
from inference.servers import PEERS
from inference.serving import PADDED

Found = Mapping[str, Any]

FLAT = 1.02
"""Growth of the memory that a soak of minutes cannot tell from noise."""
AT_ONCE_MS = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """`measured` and `wanted` are numbers of one kind; `at` says where the measured one, the worst, was found."""

    what: str
    measured: float
    wanted: float
    at_least: bool
    at: str = ""

    @property
    def met(self) -> bool:
        """False for what could not be measured, too."""
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted

    def row(self) -> str:
        sign = "at least" if self.at_least else "at most"
        unknown = math.isnan(self.measured) or math.isnan(self.wanted)
        verdict = "not measured" if unknown else "met" if self.met else "not met"
        return f"| {self.what} | {_figure(self.measured)} {self.at} | {sign} {_figure(self.wanted)} | {verdict} |"


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """The median of the rounds' ratios: a slow moment hits both."""
    pairs = list(zip(numerators, denominators, strict=False))
    return statistics.median(a / b for a, b in pairs) if pairs else math.nan


def floors(cell: Mapping[str, Sequence[float]], tokens: int) -> list[float]:
    """The floor in ms, round by round."""
    return [floor_ms(tokens, *rates) for rates in zip(cell["int8 product"], cell["float product"], strict=True)]


def batch1(found: Found) -> list[Target]:
    """Ours with one scale per tensor, on two threads."""
    cells = {int(tokens): cell for tokens, cell in found["threads"]["2"].items()}
    ours = "ours int8 per tensor"

    def faster(what: str, peer: str, wanted: float, lengths: Callable[[int], bool]) -> Target:
        chosen = {tokens: cell for tokens, cell in cells.items() if lengths(tokens)}
        ratios = {tokens: ratio(cell.get(peer, ()), cell.get(ours, ())) for tokens, cell in chosen.items()}
        return _worst(what, ratios, wanted, at_least=True)

    slower = {tokens: ratio(cell.get("ours int8 per token", ()), cell.get(ours, ())) for tokens, cell in cells.items()}
    above_floor = ratio(cells[128].get(ours, ()), floors(cells[128], 128))
    return [
        faster("times optimum's float, from 32 tokens", "optimum float", 3.0, lambda tokens: tokens >= 32),
        faster("times optimum's int8, up to 256", "optimum int8", 1.15, lambda tokens: tokens <= 256),
        faster("times optimum's int8, from 512", "optimum int8", 1.4, lambda tokens: tokens >= 512),
        faster("times OpenVINO's int8", "OpenVINO int8", 1.0, lambda _: True),
        faster("times OpenVINO's int8, at 2,048", "OpenVINO int8", 1.3, lambda tokens: tokens == 2048),
        _worst("times the floor's time, at 128", {128: above_floor}, 1.5, at_least=False),
        _worst("per token, times the time per tensor", slower, 1.2, at_least=False),
        *(
            Target(
                f"the built-in at {tokens} tokens, ms",
                _median(cells[tokens].get("built-in", ())),
                wanted,
                at_least=False,
            )
            for tokens, wanted in ((32, 3.0), (128, 8.0))
        ),
    ]


def labels_kept(name: str, verification: Found) -> Target:
    """How often int8 chooses the float graph's label; `verification` is the manifest's."""
    agreement = verification["agreement"]
    what = f"{name}: texts that keep their label in int8"
    return Target(what, agreement["share"], 0.99, at_least=True, at=f"({agreement['texts']:,} texts)")


def independence(name: str, verification: Found) -> Target:
    """How far neighbours move a logit of an int8 graph with a scale per token."""
    moved = verification["batch"]["max_difference"]["int8"]
    return Target(f"{name}: what neighbours move a logit by", moved, 1e-4, at_least=False)


def serving(found: Found, ours: str) -> list[Target]:
    """Throughput of one of our servers beside the best peer's of the cell."""
    closed = found["closed"]

    def column(workload: str, concurrency: int, name: str, figure: str = "per_second") -> list[float]:
        return [window[figure] for window in closed.get(workload, {}).get(str(concurrency), {}).get(name, ())]

    def best(workload: str, concurrency: int) -> str:
        figures = {name: column(workload, concurrency, name) for name in PEERS}
        measured = {name: statistics.median(values) for name, values in figures.items() if values}
        return max(measured, key=measured.__getitem__, default="")

    def times(what: str, workload: str, rival: Callable[[int], str], wanted: float, loads: Iterable[int]) -> Target:
        ratios = {load: ratio(column(workload, load, ours), column(workload, load, rival(load))) for load in loads}
        return _worst(what, ratios, wanted, at_least=True, unit="clients")

    mix = best("mix", 8)
    slowest = ratio(column("mix", 8, ours, "p95_ms"), column("mix", 8, mix, "p95_ms"))
    ceiling = found["ceiling"].get(ours, {})
    shares = {
        load: statistics.median(column(workload, load, ours)) / ceiling[workload] if ceiling else math.nan
        for workload, load in (("short", 32), ("mix", 32))
        if column(workload, load, ours)
    }
    return [
        times("short: times the best peer, 8 and 32", "short", lambda load: best("short", load), 1.6, (8, 32)),
        times("short: times infinity as it comes, 8 and 32", "short", lambda _: "infinity, torch", 4.0, (8, 32)),
        times("short: times the best peer, 1 client", "short", lambda load: best("short", load), 1.0, (1,)),
        times("mix: times the best peer, 8", "mix", lambda load: best("mix", load), 1.25, (8,)),
        Target("mix: p95 over the best peer's, 8", slowest, 0.5, at_least=False, at=f"against {mix}"),
        times("mix: times queue-and-pad, 8", "mix", lambda _: PADDED, 3.0, (8,)),
        _worst("share of what the cost curve says, 32", shares, 0.85, at_least=True, unit="clients"),
    ]


def routed(found: Found) -> list[Target]:
    """What a hit costs, in the classifier and through the whole daemon."""
    alone = found["ways"]["1"]
    hit, direct = (_median([window["p50_ms"] for window in alone[way]]) for way in ("built-in, hit", "direct"))
    return [
        Target("a hit in the classifier, microseconds", found["hit_us"], 20.0, at_least=False),
        Target("a hit through the daemon, 1 client, added p50 ms", hit - direct, 1.0, at_least=False),
    ]


def soak(found: Found) -> list[Target]:
    """Memory and the event loop."""
    lag = found["lag_ms"]["p99"]
    return [
        Target("the last quarter's memory over the second's", found["growth"], FLAT, at_least=False),
        Target("p99 of the event loop's lag while saturated, ms", _number(lag), 5.0, at_least=False),
    ]


def overload(found: Found) -> list[Target]:
    """The deadline holds for those admitted, and the rest need not wait."""
    targets = []
    for workload in ("mix", "short"):
        outcome, deadline = found[workload], _number(found["deadline_ms"])
        refused = [told["p99_ms"] for reason, told in outcome["by_reason"].items() if reason in REFUSED]
        targets += [
            Target(f"{workload}: p99 of the admitted, ms", outcome["admitted_p99_ms"], deadline, at_least=False),
            Target(f"{workload}: p99 of the refused, ms", max(refused, default=math.nan), AT_ONCE_MS, at_least=False),
        ]
    return targets


def _figure(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _worst(what: str, values: Mapping[int, float], wanted: float, *, at_least: bool, unit: str = "tokens") -> Target:
    measured = {at: value for at, value in values.items() if not math.isnan(value)}
    if not measured:
        return Target(what, math.nan, wanted, at_least)
    at = (min if at_least else max)(measured, key=measured.__getitem__)
    return Target(what, measured[at], wanted, at_least, f"({at:,} {unit})")


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


def _number(value: float | None) -> float:
    return math.nan if value is None else value

"""Summarize a soak for its result file. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from target import quantile

from soak.evidence import QUIET, DaemonSample, HonestRequest, Phase, SoakEvidence
from soak.verdict import quarter

MIB = 2**20
POINTS = 60
"""Values that show memory over time."""


def figures(evidence: SoakEvidence) -> dict[str, Any]:
    """Return latency, outcomes and resources; times are in milliseconds, memory is in MiB."""
    phases = evidence.phases
    quiet = [phase for phase in phases if phase.name == QUIET]
    attacks = [phase for phase in phases if phase.name != QUIET]
    names = dict.fromkeys(phase.name for phase in attacks)
    return {
        "requests": len(evidence.asked),
        "sent_again": sum(item.again for item in evidence.asked),
        "quiet": spread(evidence, quiet),
        "attacked": spread(evidence, attacks),
        "attacks": {
            name: spread(evidence, [phase for phase in attacks if phase.name == name])
            | {"did": dict(evidence.attacks.get(name, {}))}
            for name in names
        },
        "resident_mib": {
            "start": _mib(evidence.start.resident),
            "second_quarter": _mib(quarter(evidence.samples, phases, 1)),
            "last_quarter": _mib(quarter(evidence.samples, phases, 3)),
            "end": _mib(evidence.end.resident),
            "most": _mib(evidence.peak),
            "base_and_max_buffered_bytes": _mib(evidence.start.resident + evidence.max_buffered),
            "over_time": [_mib(max(part)) for part in _parts([each.resident for each in evidence.samples])],
        },
        "descriptors": {
            "start": evidence.start.descriptors,
            "most": max((each.descriptors for each in evidence.samples), default=0),
            "end": evidence.end.descriptors,
        },
        "gauges": dict(evidence.gauges),
        "log_lines_dropped": evidence.dropped,
    }


def spread(evidence: SoakEvidence, phases: Sequence[Phase]) -> dict[str, Any]:
    """Return what honest clients saw in these phases, and how busy the machine was."""
    inside = [item for item in evidence.asked if any(phase.begun <= item.at < phase.ended for phase in phases)]
    timed, direct = _timed(inside, phases), _timed(evidence.direct, phases)
    lags = [lag.ms for lag in evidence.lags if settled(lag.at, phases)]
    return {
        "requests": len(inside),
        "outcomes": _outcomes(inside),
        "timed": len(timed),
        "p50_ms": _rounded(quantile(timed, 0.5)),
        "p99_ms": _rounded(quantile(timed, 0.99)),
        "max_ms": _rounded(max(timed, default=float("nan"))),
        "direct_p50_ms": _rounded(quantile(direct, 0.5)),
        "direct_p99_ms": _rounded(quantile(direct, 0.99)),
        "clients_loop_lag_p99_ms": _rounded(quantile(lags, 0.99)),
        "daemons_loop_lag_p99_ms": lag_p99(phases),
        "daemon_without_a_core": _waited(evidence.samples, phases),
    }


def _timed(asked: Iterable[HonestRequest], phases: Sequence[Phase]) -> list[float]:
    return [item.ms for item in asked if item.end in {"whole", "fallback"} and settled(item.at, phases)]


def settled(at: float, phases: Iterable[Phase]) -> bool:
    """Return whether this is a time in one of these phases, and not while the one before has its effects."""
    return any(phase.begun + phase.settle <= at < phase.ended for phase in phases)


def lag_p99(phases: Iterable[Phase]) -> float | None:
    """Return the upper bound of the bucket of the 99th percentile, in milliseconds; None without values."""
    total: Counter[str] = Counter()
    for phase in phases:
        total.update({bound: int(count) for bound, count in phase.lag.items()})
    bounds = sorted(total, key=float)
    if not bounds or not total[bounds[-1]]:
        return None
    return _rounded(1000 * next(float(bound) for bound in bounds if total[bound] >= 0.99 * total[bounds[-1]]))


def _waited(samples: Sequence[DaemonSample], phases: Iterable[Phase]) -> float | None:
    """Return the share of the time for which the daemon's main thread was runnable without a core."""
    spent = waited = 0.0
    for phase in phases:
        found = [each for each in samples if phase.begun <= each.at < phase.ended]
        if found:
            spent += found[-1].at - found[0].at
            waited += found[-1].waited - found[0].waited
    return round(waited / spent, 3) if spent else None


def _outcomes(asked: Iterable[HonestRequest]) -> dict[str, int]:
    return dict(sorted(Counter(item.end + (f": {item.code}" if item.code else "") for item in asked).items()))


def _parts(values: Sequence[int]) -> Iterable[Sequence[int]]:
    length = max(1, -(-len(values) // POINTS))
    return (values[at : at + length] for at in range(0, len(values), length))


def _mib(size: float) -> float:
    return round(size / MIB, 1)


def _rounded(value: float) -> float | None:
    """Return None for NaN and infinity, which JSON does not have."""
    return round(value, 2) if abs(value) < float("inf") else None


def ratio(found: Mapping[str, Any], share: str) -> float | None:
    """Return the latency under attack over that in quiet, at `p50` or `p99`."""
    quiet, attacked = (found[key][f"{share}_ms"] for key in ("quiet", "attacked"))
    return round(attacked / quiet, 2) if quiet and attacked else None

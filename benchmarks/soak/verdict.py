"""Judge a soak: nothing lost, memory flat and bounded, descriptors and gauges as before. Pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from chaos.evidence import ResourceSample as Resources
from chaos.rules.resources import GROWTH_BYTES, GROWTH_SHARE, leaked, left_over

from soak.evidence import QUIET, DaemonSample, HonestRequest, Phase, SoakEvidence

AFTER_SECONDS = 15.0
"""Seconds after an attack in which it explains errors: a breaker opens for 5 s, adapters are read every 10 s."""
LATE = frozenset({"deadline", "overloaded"})
"""Reasons of a fallback that any load explains: the classifier was late, or would have been."""
EXPLAINED: Mapping[str, frozenset[tuple[str, str]]] = {
    "restarts of vLLM": frozenset({("error", "upstream_unreachable"), ("error", "upstream_broken")}),
    "adapters come and go": frozenset({("fallback", "adapter_missing")}),
}
"""The ends of requests during an attack on something that they need, as `end` and `code`."""
SHOWN = 20
ALLOWANCE_BYTES = 96 * 2**20
"""Memory beyond the budget: connections, answers on their way, edited copies of bodies of up to 1 MiB, caches; and what
the service keeps to show: 25 MB of decisions, and 8 MiB of lines."""


def judge(evidence: SoakEvidence) -> list[str]:
    """Return the faults of a run."""
    start, end = (Resources(at.resident, at.descriptors) for at in (evidence.start, evidence.end))
    return [
        *lost(evidence.asked, evidence.phases),
        *grown(evidence.samples, evidence.phases),
        *unbounded(evidence),
        *(str(fault) for fault in leaked(start, end)),
        *(str(fault) for fault in left_over(evidence.gauges)),
        *(f"gauge: {key} is {value:g}" for key, value in evidence.gauges.items() if value and _of_bodies(key)),
        *(f"attack: {name} did nothing" for name, did in evidence.attacks.items() if not sum(did.values())),
        *(f"log: {line}" for line in evidence.errors),
    ]


def lost(asked: Sequence[HonestRequest], phases: Sequence[Phase]) -> list[str]:
    """Check that each honest request had its own answer, or an error that an attack on what it needs explains."""
    found = Counter(
        (_during(item.at, phases), item.kind, item.end, item.code) for item in asked if not explained(item, phases)
    )
    faults = [
        f"lost: {count} of {kind} in {where!r}: {end}{f' ({code})' if code else ''}"
        for (where, kind, end, code), count in found.most_common(SHOWN)
    ]
    return faults if asked else ["lost: nothing was asked"]


def explained(item: HonestRequest, phases: Sequence[Phase]) -> bool:
    """Return whether an outcome is right, or what an attack during the request or just before it explains."""
    if item.end == "whole" or (item.end == "fallback" and item.code in LATE):
        return True
    until = item.at + item.ms / 1000
    near = (phase for phase in phases if phase.begun <= until and item.at <= phase.ended + AFTER_SECONDS)
    return any((item.end, item.code) in EXPLAINED.get(phase.name, ()) for phase in near)


def grown(samples: Sequence[DaemonSample], phases: Sequence[Phase]) -> list[str]:
    """Check that memory in quiet phases does not grow from the second to the last quarter of the run."""
    second, last = quarter(samples, phases, 1), quarter(samples, phases, 3)
    if not second or not last:
        return ["memory: too few quiet samples"]
    if last - second <= max(GROWTH_BYTES, second * GROWTH_SHARE):
        return []
    return [f"memory: it grew from {second / 2**20:.1f} MiB in the second quarter to {last / 2**20:.1f} in the last"]


def unbounded(evidence: SoakEvidence) -> list[str]:
    """Check that memory never exceeded that at the start, the budget for requests, and the allowance."""
    max_bytes = evidence.start.resident + evidence.max_buffered + ALLOWANCE_BYTES
    if evidence.peak <= max_bytes:
        return []
    return [f"memory: {evidence.peak / 2**20:.1f} MiB at most, where {max_bytes / 2**20:.1f} are permitted"]


def quarter(samples: Sequence[DaemonSample], phases: Sequence[Phase], number: int) -> float:
    """Return the median of resident memory in the quiet phases of a quarter, counted from 0; 0 without samples."""
    begun, ended = phases[0].begun, phases[-1].ended
    low, high = (begun + (ended - begun) * edge / 4 for edge in (number, number + 1))
    found = [each.resident for each in samples if low <= each.at < high and _during(each.at, phases) == QUIET]
    return statistics.median(found) if found else 0.0


def _during(at: float, phases: Sequence[Phase]) -> str:
    """Return the name of the phase that began last; what an attack began lasts until the next phase begins."""
    return next((phase.name for phase in reversed(phases) if phase.begun <= at), "the beginning")


def _of_bodies(key: str) -> bool:
    return key.startswith(("pointsman_buffered_bytes[", "pointsman_bodies_waiting["))

"""Check that a run leaves nothing behind: gauges, memory, file descriptors."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from chaos.evidence import BrokenRule, ResourceSample

DESCRIPTORS = 8
GROWTH_BYTES, GROWTH_SHARE = 8 * 2**20, 0.05
GAUGES = ("requests_in_flight", "connections", "endpoint_in_flight", "classifier_queue")
PREFIXES = tuple(f"pointsman_{name}[" for name in GAUGES)


def left_over(gauges: Mapping[str, float]) -> list[BrokenRule]:
    """Check that gauges of work in flight exist and are zero when the daemon is idle."""
    missing = [prefix for prefix in PREFIXES if not any(key.startswith(prefix) for key in gauges)]
    return [
        *(BrokenRule("gauge", None, f"no gauge {prefix[:-1]}") for prefix in missing),
        *(
            BrokenRule("gauge", None, f"{key} is {value:g}")
            for key, value in gauges.items()
            if value and key.startswith(PREFIXES)
        ),
    ]


def grown(samples: Sequence[ResourceSample]) -> list[BrokenRule]:
    """Check that resident memory does not grow in the second half."""
    resident = [sample.resident for sample in samples]
    third, last = quarter(resident, 2), quarter(resident, 3)
    if not third or last - third <= max(GROWTH_BYTES, third * GROWTH_SHARE):
        return []
    what = f"memory grew in the second half, from {third / 2**20:.1f} MiB to {last / 2**20:.1f}"
    return [BrokenRule("memory", None, what)]


def leaked(start: ResourceSample, end: ResourceSample) -> list[BrokenRule]:
    """Check that no file descriptors stay open after the end."""
    more = end.descriptors - start.descriptors
    return [BrokenRule("descriptors", None, f"{more} more than at the start")] if more > DESCRIPTORS else []


def quarter(values: Sequence[int], number: int) -> float:
    """Return the median of a quarter, counted from 0; 0 if there are too few values."""
    length = len(values) // 4
    return statistics.median(values[number * length : (number + 1) * length]) if length else 0.0

"""Read the daemon's event loop metrics on its admin port."""

from __future__ import annotations

import math

from prometheus_client.parser import text_string_to_metric_families

from inference.load import get

LOOP_LAG = "pointsman_loop_lag_seconds"

Buckets = dict[float, float]
"""Cumulative counts by upper bound in seconds."""


def loop_lag(admin_port: int) -> Buckets:
    """Return the event loop's delays since the start."""
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(get(admin_port, "/metrics"))
        for sample in family.samples
        if sample.name == f"{LOOP_LAG}_bucket"
    }


def lag_p99_ms(before: Buckets, after: Buckets) -> float:
    """Return the upper bound of the quantile's bucket between two scrapes; NaN without observations."""
    counts = {bound: count - before.get(bound, 0.0) for bound, count in after.items()}
    whole = max(counts.values(), default=0.0)
    return min(bound * 1000 for bound, count in counts.items() if count >= 0.99 * whole) if whole else math.nan

"""What the daemon says of itself on its admin port."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from inference.load import get
from inference.servers import Server

LOOP_LAG = "pointsman_loop_lag_seconds"

Buckets = dict[float, float]
"""Cumulative counts by upper bound in seconds; empty where the daemon has no such histogram."""


def loop_lag(server: Server) -> Buckets:
    """How late the event loop was, since the start."""
    _, text = get(server.admin_port, "/metrics")
    return {
        float(sample.labels["le"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"{LOOP_LAG}_bucket"
    }


def since(before: Buckets, after: Buckets) -> Buckets:
    """The counts in between."""
    return {bound: count - before.get(bound, 0.0) for bound, count in after.items()}


def quantile_bound(buckets: Buckets, share: float) -> float | None:
    """The upper bound, in seconds, of the bucket that holds the quantile; None without observations."""
    whole = max(buckets.values(), default=0.0)
    if not whole:
        return None
    return min(bound for bound, count in buckets.items() if count >= share * whole)

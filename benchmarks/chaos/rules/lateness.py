"""Check that generations end with their clients, as far as the daemon and not a busy machine decides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chaos.evidence import BrokenRule, ClientRequest, Ticks, UpstreamRequest

BOUND_SECONDS, WORST_SECONDS = 0.1, 1.0
LATE_SHARE = 0.05
"""Share of generations that may outlive their client by more than BOUND_SECONDS, but not by more than WORST_SECONDS."""


def outlived(asked: Iterable[ClientRequest], ran: Iterable[UpstreamRequest], ticks: Ticks) -> dict[str, float]:
    """Return the seconds by which generations outlived clients that disconnected, by request id.

    Only what is certain and the daemon's counts: from the moment when the client's connection was closed for certain
    to the last one when the upstream's was open for certain, less the time that the daemon waited for a core. Clients
    and upstreams run in one process, which may be scheduled late itself.
    """
    left = {item.id: item.left for item in asked if item.left is not None}
    late: dict[str, float] = {}
    for item in ran:
        at = left.get(item.id)
        if at is None or item.ended is None or item.ended <= at:
            continue
        seconds = ticks.before(item.ended) - at - ticks.starved(at, item.ended)
        late[item.id] = max(seconds, late.get(item.id, 0.0))
    return late


def lingering(seconds: Mapping[str, float]) -> list[BrokenRule]:
    """Check the `seconds` by which generations outlived their clients against the bounds."""
    over = count_over(seconds.values())
    faults = [
        BrokenRule("late", name, f"a generation outlived its client by {late:.3f} s")
        for name, late in seconds.items()
        if late > WORST_SECONDS
    ]
    if over > LATE_SHARE * len(seconds):
        what = f"{over} of {len(seconds)} generations outlived their clients by more than {BOUND_SECONDS:g} s"
        faults.append(BrokenRule("late", None, what))
    return faults


def count_over(seconds: Iterable[float]) -> int:
    return sum(one > BOUND_SECONDS for one in seconds)

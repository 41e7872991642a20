"""Check that each request has one outcome in the log, which metrics count and its client saw."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from chaos.evidence import BrokenRule, ClientRequest, Line, Lines, Ticks

LATE_SECONDS = 0.2
"""Seconds after a disconnection in which a response may be logged as sent: the daemon may not know of it yet."""


def outcomes(asked: Iterable[ClientRequest], lines: Lines, wall: float, ticks: Ticks) -> list[BrokenRule]:
    """Check that each request has one outcome in the log, and that its client saw the same."""
    faults = []
    for item in asked:
        found = lines.get(item.id, ())
        min_found = 1 if item.expected == "outcome" else 0
        max_found = 0 if item.expected in {"nothing", "refused unread"} else 1
        why: str | None = None
        if not min_found <= len(found) <= max_found:
            why = f"{len(found)} outcomes in the log"
        elif item.end == "hung":
            why = "its client waited in vain"
        elif item.end == "cut" and item.status is None:
            why = "its connection ended without an answer"
        elif found:
            why = _differs(item, found[0], wall, ticks)
        if why:
            faults.append(BrokenRule("outcome", item.id, f"({item.kind}, {item.end}) {why}"))
    return faults


def _differs(item: ClientRequest, line: Line, wall: float, ticks: Ticks) -> str | None:
    status = line["status"]
    if item.end == "unanswered":
        return None if status == 499 and line.get("left_in") == "queue" else f"logged as {status}, was never answered"
    if item.end == "left":
        if status == 499:
            return None
        left = item.left or 0.0
        logged = datetime.datetime.fromisoformat(line["ts"]).timestamp() - wall
        late = logged - left
        if late - ticks.starved(left, logged) > LATE_SECONDS:
            return f"logged as {status} {late:.3f} s after its client left"
        if item.status is None:
            return None
    return None if status == item.status else f"logged as {status}, its client saw {item.status}"


def strangers(asked: Iterable[ClientRequest], lines: Lines) -> list[BrokenRule]:
    """Check for outcomes of requests that no client made."""
    known = {item.id for item in asked}
    return [
        BrokenRule("stranger", name, "an outcome of a request that nobody made") for name in lines if name not in known
    ]


def counts(asked: Iterable[ClientRequest], lines: Lines, refused: int, counted: int) -> list[BrokenRule]:
    """Check that metrics, log and clients agree: `refused` as malformed, `counted` as requests."""
    faults = []
    unread = sum(item.expected == "refused unread" for item in asked)
    logged = sum(len(found) for found in lines.values())
    if refused != unread:
        faults.append(BrokenRule("count", None, f"{unread} malformed requests, {refused} counted"))
    if counted != logged:
        faults.append(BrokenRule("count", None, f"{logged} requests logged, {counted} counted"))
    return faults


def troubles(lines: Iterable[Line]) -> list[BrokenRule]:
    """Check the log for errors of the daemon itself, uncaught exceptions included."""
    return [
        BrokenRule("log", None, str(dict(line)))
        for line in lines
        if line["level"] == "error" or line["event"] in {"internal_error", "library"} or "Traceback" in str(line)
    ]

"""Compare what clients requested, what upstreams ran and what the daemon reported.

Pure: every function takes records and returns its complaints, an empty list if there are none.
"""

from __future__ import annotations

import datetime
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

OUTCOMES = frozenset({"request", "routing_decision"})
"""The log events that are the outcome of a request."""
OUR_CODES = frozenset({"upstream_unreachable", "upstream_broken", "upstream_timeout"})
BOUND_SECONDS, WORST_SECONDS = 0.1, 1.0
LATE_SHARE = 0.05
"""Share of generations that may outlive their client by more than BOUND_SECONDS, but not by more than WORST_SECONDS.

The machine may be busy with other work at that moment.
"""
LATE_SECONDS = 0.2
"""Seconds after a disconnection in which a response may be logged as sent: the daemon may not know of it yet."""
DESCRIPTORS = 8
GROWTH_BYTES, GROWTH_SHARE = 8 * 2**20, 0.05
_GAUGES = ("requests_in_flight", "connections", "endpoint_in_flight", "classifier_queue")

Expected = Literal["outcome", "outcome or nothing", "nothing", "refused unread"]
End = Literal["whole", "cut", "left", "unanswered", "hung"]


class Body(NamedTuple):
    """A body without framing, reduced to its size and CRC-32."""

    size: int
    crc: int


NO_BODY = Body(0, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as seen by its client; times are monotonic, in seconds."""

    id: str
    kind: str
    expected: Expected = "outcome"
    end: End = "whole"
    status: int | None = None
    body: Body = NO_BODY
    code: str | None = None
    """Code of an error in OpenAI's form."""
    left: float | None = None


@dataclass(frozen=True, slots=True)
class Ran:
    """A request as seen by an upstream; `whole` if everything announced was sent."""

    id: str
    behaviour: str
    began: float
    ended: float | None = None
    status: int | None = None
    whole: bool = False
    body: Body = NO_BODY
    alone: bool = True
    """True for the first request on its connection; only others may be retried."""
    torn: bool = False
    """True if the connection was reset after sending, so that a slow reader may have lost data."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The daemon's resources at one moment."""

    resident: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """The records of a run; `wall` is wall time minus monotonic time, `malformed` is what upstreams could not parse."""

    asked: Sequence[Asked]
    ran: Sequence[Ran]
    lines: Sequence[Mapping[str, Any]]
    wall: float
    gauges: Mapping[str, float]
    refused: int
    counted: int
    samples: Sequence[Sample]
    start: Sample
    end: Sample
    malformed: Sequence[str] = ()


def judge(evidence: Evidence) -> dict[str, Any]:
    """Return the faults and the figures of the run."""
    asked, ran, lines = evidence.asked, evidence.ran, evidence.lines
    by_id = _lines_by_id(lines)
    late = sorted(outlived(asked, ran))
    faults = [
        *outcomes(asked, by_id, evidence.wall),
        *strangers(asked, by_id),
        *answers(asked, ran),
        *repeats(ran, by_id),
        *never_ended(ran),
        *lingering(late),
        *left_over(evidence.gauges),
        *counts(asked, by_id, evidence.refused, evidence.counted),
        *grown(evidence.samples),
        *leaked(evidence.start, evidence.end),
        *troubles(lines),
        *(f"an upstream got what is no request: {text}" for text in evidence.malformed),
    ]
    milliseconds = [seconds * 1000 for seconds in late]
    return {
        "faults": faults,
        "requests": len(asked),
        "clients": _table((item.kind, item.end) for item in asked),
        "statuses": dict(sorted(Counter(str(item.status or "none") for item in asked).items())),
        "upstreams": _table((item.behaviour, "whole" if item.whole else "not whole") for item in ran),
        "outcomes": dict(sorted(Counter(str(line["status"]) for line in lines if line["event"] in OUTCOMES).items())),
        "left_in": dict(sorted(Counter(line["left_in"] for line in lines if "left_in" in line).items())),
        "sent_again": dict(
            sorted(Counter(again["why"] for line in lines for again in line.get("retried", ())).items())
        ),
        "outlived": {
            "generations": len(milliseconds),
            "median_ms": round(statistics.median(milliseconds), 2) if milliseconds else None,
            "worst_ms": round(milliseconds[-1], 2) if milliseconds else None,
            "over_100_ms": _over(late),
        },
        "descriptors": {"start": evidence.start.descriptors, "end": evidence.end.descriptors}
        | {"most": max((sample.descriptors for sample in evidence.samples), default=0)},
        "resident_mib": _resident(evidence),
        "gauges": {name: value for name, value in evidence.gauges.items() if name.startswith(_prefixes())},
    }


def outcomes(asked: Iterable[Asked], lines: Mapping[str, Sequence[Mapping[str, Any]]], wall: float) -> list[str]:
    """Check that each request has one outcome in the log, and that its client saw the same."""
    faults = []
    for item in asked:
        found = lines.get(item.id, ())
        fewest = 1 if item.expected == "outcome" else 0
        most = 0 if item.expected in {"nothing", "refused unread"} else 1
        if not fewest <= len(found) <= most:
            faults.append(f"{item.id} ({item.kind}, {item.end}): {len(found)} outcomes in the log")
        elif item.end == "hung":
            faults.append(f"{item.id} ({item.kind}): its client waited in vain")
        elif item.end == "cut" and item.status is None:
            faults.append(f"{item.id} ({item.kind}): its connection ended without an answer")
        elif found and (why := _differs(item, found[0], wall)):
            faults.append(f"{item.id} ({item.kind}, {item.end}): {why}")
    return faults


def _differs(item: Asked, line: Mapping[str, Any], wall: float) -> str | None:
    status = line["status"]
    if item.end == "unanswered":
        return None if status == 499 and line.get("left_in") == "queue" else f"logged as {status}, was never answered"
    if item.end == "left":
        if status == 499:
            return None
        late = datetime.datetime.fromisoformat(line["ts"]).timestamp() - wall - (item.left or 0.0)
        if late > LATE_SECONDS:
            return f"logged as {status} {late:.3f} s after its client left"
        if item.status is None:
            return None
    return None if status == item.status else f"logged as {status}, its client saw {item.status}"


def strangers(asked: Iterable[Asked], lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Check for outcomes of requests that no client made."""
    known = {item.id for item in asked}
    return [f"{name}: an outcome of a request that nobody made" for name in lines if name not in known]


def answers(asked: Iterable[Asked], ran: Iterable[Ran]) -> list[str]:
    """Check that responses that look complete equal the upstream's, and that incomplete ones are visibly broken."""
    last = {item.id: item for item in sorted(ran, key=lambda item: item.began)}
    faults = []
    for item in asked:
        if item.end not in {"whole", "cut"} or item.status is None:
            continue
        run = last.get(item.id)
        if run is None:
            why = "and no upstream was asked" if item.status < 400 else None
        elif run.status != item.status or item.code in OUR_CODES:
            why = _replaced(item, run)
        else:
            why = _passed_on(item, run)
        if why:
            faults.append(f"{item.id} ({run.behaviour if run else item.kind}): {item.status}, {why}")
    return faults


def _replaced(item: Asked, run: Ran) -> str | None:
    """Return what is wrong with a response that is not the upstream's."""
    if item.code not in OUR_CODES:
        return f"in place of the upstream's {run.status}, and no code of ours says why"
    if run.whole and not run.torn and item.code != "upstream_timeout":
        return f"in place of the upstream's {run.status}"
    return None


def _passed_on(item: Asked, run: Ran) -> str | None:
    """Return what is wrong with a response that is the upstream's."""
    if item.end == "whole" and not run.whole:
        return "a broken answer that looks whole"
    if item.end == "cut" and run.whole and not run.torn:
        return "a whole answer that was broken"
    if item.end == "whole" and item.body != run.body:
        return f"{item.body} arrived, {run.body} was sent"
    return None


def repeats(ran: Iterable[Ran], lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """Check that retries are logged, and never follow a response that began or a new connection."""
    runs = defaultdict(list)
    for item in sorted(ran, key=lambda item: item.began):
        runs[item.id].append(item)
    faults = []
    for name, items in runs.items():
        retried = [again for line in lines.get(name, ()) for again in line.get("retried", ())]
        if len(items) - 1 > len(retried):
            faults.append(f"{name}: {len(items)} runs, and the log tells of {len(retried)} repeats")
        faults.extend(
            f"{name} ({item.behaviour}): sent again although its answer may have begun"
            for item in items[:-1]
            if item.status is not None or item.alone
        )
    return faults


def never_ended(ran: Iterable[Ran]) -> list[str]:
    """Check for generations that still run after all clients are gone."""
    return [f"{item.id} ({item.behaviour}): still runs" for item in ran if item.ended is None]


def outlived(asked: Iterable[Asked], ran: Iterable[Ran]) -> list[float]:
    """Return the seconds by which generations outlived clients that disconnected."""
    left = {item.id: item.left for item in asked if item.left is not None}
    return [
        item.ended - at
        for item in ran
        if item.ended is not None and (at := left.get(item.id)) is not None and item.ended > at
    ]


def lingering(seconds: Sequence[float]) -> list[str]:
    """Check the `seconds` by which generations outlived their clients against the bounds."""
    worst, over = max(seconds, default=0.0), _over(seconds)
    faults = [f"a generation outlived its client by {worst:.3f} s"] if worst > WORST_SECONDS else []
    if over > LATE_SHARE * len(seconds):
        faults.append(f"{over} of {len(seconds)} generations outlived their clients by more than {BOUND_SECONDS:g} s")
    return faults


def _over(seconds: Iterable[float]) -> int:
    return sum(one > BOUND_SECONDS for one in seconds)


def left_over(gauges: Mapping[str, float]) -> list[str]:
    """Check that gauges of work in flight exist and are zero when the daemon is idle."""
    missing = [
        f"no gauge pointsman_{name}" for name in _GAUGES if not any(f"pointsman_{name}[" in key for key in gauges)
    ]
    return missing + [f"{key} is {value:g}" for key, value in gauges.items() if value and key.startswith(_prefixes())]


def counts(
    asked: Iterable[Asked], lines: Mapping[str, Sequence[Mapping[str, Any]]], refused: int, counted: int
) -> list[str]:
    """Check that metrics, log and clients agree: `refused` as malformed, `counted` as requests."""
    faults = []
    unread = sum(item.expected == "refused unread" for item in asked)
    logged = sum(len(found) for found in lines.values())
    if refused != unread:
        faults.append(f"{unread} malformed requests, {refused} counted")
    if counted != logged:
        faults.append(f"{logged} requests logged, {counted} counted")
    return faults


def grown(samples: Sequence[Sample]) -> list[str]:
    """Check that resident memory does not grow in the second half."""
    resident = [sample.resident for sample in samples]
    third, last = _quarter(resident, 2), _quarter(resident, 3)
    if not third or last - third <= max(GROWTH_BYTES, third * GROWTH_SHARE):
        return []
    return [f"memory grew in the second half, from {third / 2**20:.1f} MiB to {last / 2**20:.1f}"]


def leaked(start: Sample, end: Sample) -> list[str]:
    """Check that no file descriptors stay open after the end."""
    more = end.descriptors - start.descriptors
    return [f"{more} file descriptors more than at the start"] if more > DESCRIPTORS else []


def troubles(lines: Iterable[Mapping[str, Any]]) -> list[str]:
    """Check the log for errors of the daemon itself, uncaught exceptions included."""
    return [
        f"in the log: {dict(line)}"
        for line in lines
        if line["level"] == "error" or line["event"] in {"internal_error", "library"} or "Traceback" in str(line)
    ]


def _lines_by_id(lines: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    found: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for line in lines:
        if line["event"] in OUTCOMES:
            found[line["request_id"]].append(line)
    return dict(found)


def _prefixes() -> tuple[str, ...]:
    return tuple(f"pointsman_{name}[" for name in _GAUGES)


def _quarter(values: Sequence[int], number: int) -> float:
    """Return the median of a quarter, counted from 0; 0 if there are too few values."""
    length = len(values) // 4
    return statistics.median(values[number * length : (number + 1) * length]) if length else 0.0


def _resident(evidence: Evidence) -> dict[str, float]:
    resident = [sample.resident for sample in evidence.samples]
    figures = {"start": evidence.start.resident, "third_quarter": _quarter(resident, 2)}
    figures |= {"last_quarter": _quarter(resident, 3), "end": evidence.end.resident}
    return {name: round(value / 2**20, 1) for name, value in figures.items()}


def _table(pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Count the pairs, by the first and then the second element."""
    table: dict[str, dict[str, int]] = {}
    for (first, second), count in sorted(Counter(pairs).items()):
        table.setdefault(first, {})[second] = count
    return table

"""Records of a chaos run: what clients asked and saw, what upstreams ran, and how the daemon and the machine did."""

from __future__ import annotations

import bisect
import zlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from chaos.prompt import Prompt, ReportedDecision

OUTCOMES = frozenset({"request", "routing_decision"})
"""The log events that are the outcome of a request."""
OUR_CODES = frozenset({"upstream_unreachable", "upstream_broken", "upstream_timeout"})

Expected = Literal["outcome", "outcome or nothing", "nothing", "refused unread"]
End = Literal["whole", "cut", "left", "unanswered", "hung"]
Line = Mapping[str, Any]
Lines = Mapping[str, Sequence[Line]]
"""Outcomes in the log, by request id."""


class Body(NamedTuple):
    """A body without framing, reduced to its size and CRC-32."""

    size: int
    crc: int


NO_BODY = Body(0, 0)


def body_of(data: bytes) -> Body:
    return Body(len(data), zlib.crc32(data))


class IdentityHeaders(NamedTuple):
    """The headers of a response that say whose it is; None for each that is absent."""

    id: str | None = None
    decided: ReportedDecision | None = None
    nonce: str | None = None
    """The nonce that the upstream put into a header of its own."""


NOTHING_SHOWN = IdentityHeaders()


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """A request as seen by its client; `body`, `shown` and `echoed` are what it received.

    `prompt` is None if no whole request was sent that vLLM may see.
    """

    id: str
    kind: str
    expected: Expected = "outcome"
    end: End = "whole"
    prompt: Prompt | None = None
    wanted: ReportedDecision | None = None
    """The decision that `prompt` was made for."""
    status: int | None = None
    shown: IdentityHeaders = NOTHING_SHOWN
    body: Body = NO_BODY
    echoed: frozenset[str] = frozenset()
    """All nonces in the body."""
    code: str | None = None
    """Code of an error in OpenAI's form."""
    left: float | None = None
    """Monotonic time in seconds at which its connection was closed for certain."""


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """A request as seen by an upstream; `whole` if everything announced was sent. Times are monotonic, in seconds."""

    id: str
    behaviour: str
    began: float
    ended: float | None = None
    prompt: Prompt | None = None
    """None if its body was not read."""
    status: int | None = None
    whole: bool = False
    deflated: bytes = zlib.compress(b"")
    """The body that was sent, as compressed by zlib."""
    alone: bool = True
    """True for the first request on its connection; only others may be retried."""
    torn: bool = False
    """True if the connection was reset after sending, so that a slow reader may have lost data."""

    def sent(self, size: int | None = None) -> Body:
        """Return the body that was sent, or its first `size` bytes."""
        return body_of(zlib.decompress(self.deflated)[:size])


@dataclass(slots=True)
class Ticks:
    """Regular looks of the process that runs clients and upstreams, in order of time.

    `waited` is the time in seconds that the daemon's main thread has spent runnable without a core until then.
    """

    at: array[float] = field(default_factory=lambda: array("d"))
    waited: array[float] = field(default_factory=lambda: array("d"))

    def add(self, at: float, waited: float) -> None:
        self.at.append(at)
        self.waited.append(waited)

    def before(self, noticed: float) -> float:
        """Return a time at which something noticed at `noticed` had not happened yet.

        The event loop polled between the last two ticks before `noticed`, and did not find it.
        """
        index = bisect.bisect_left(self.at, noticed) - 2
        return self.at[index] if index >= 0 else noticed

    def starved(self, start: float, end: float) -> float:
        """Return the seconds that the daemon waited for a core from the last tick before `start` to the first after."""
        if not self.at:
            return 0.0
        first = max(bisect.bisect_right(self.at, start) - 1, 0)
        last = min(bisect.bisect_left(self.at, end), len(self.at) - 1)
        return max(self.waited[last] - self.waited[first], 0.0)


@dataclass(frozen=True, slots=True)
class ResourceSample:
    """The daemon's resources at one moment."""

    resident: int
    descriptors: int


@dataclass(frozen=True, slots=True)
class ChaosEvidence:
    """The records of a run; `wall` is wall time minus monotonic time, `malformed` is what upstreams could not parse."""

    asked: Sequence[ClientRequest]
    ran: Sequence[UpstreamRequest]
    lines: Sequence[Line]
    wall: float
    gauges: Mapping[str, float]
    refused: int
    counted: int
    samples: Sequence[ResourceSample]
    start: ResourceSample
    end: ResourceSample
    malformed: Sequence[str] = ()
    ticks: Ticks = field(default_factory=Ticks)


class BrokenRule(NamedTuple):
    """A broken rule, and the id of the request that broke it; None if it was no single one."""

    rule: str
    id: str | None
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what}" if self.id is None else f"{self.rule}: {self.id}: {self.what}"


def decided(line: Line) -> ReportedDecision | None:
    """Return the decision in a line of the log; None if the request ended before there was one."""
    if "selected_model" not in line:
        return None
    return ReportedDecision(line["selected_model"], line["reason"], line.get("category"))


def lines_by_id(lines: Iterable[Line]) -> Lines:
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line["event"] in OUTCOMES:
            found[line["request_id"]].append(line)
    return dict(found)


def runs_by_id(ran: Iterable[UpstreamRequest]) -> Mapping[str, Sequence[UpstreamRequest]]:
    """Return the runs of each request in the order in which they began."""
    found: dict[str, list[UpstreamRequest]] = defaultdict(list)
    for run in sorted(ran, key=lambda run: run.began):
        found[run.id].append(run)
    return dict(found)

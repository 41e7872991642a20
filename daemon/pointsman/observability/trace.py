"""Continue a client's trace, or begin one: https://www.w3.org/TR/trace-context/. Pure except for chance."""

from __future__ import annotations

import random
import re

import msgspec

# Version ff is invalid; a later version than 00 may have more fields after these.
_TRACEPARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]*)?")
_SAMPLED = 1


class Trace(msgspec.Struct, frozen=True):
    """The position of one request in a trace: its own span, and that of the client, 0 if the trace begins here."""

    trace_id: int
    span_id: int
    parent_id: int
    sampled: bool

    @property
    def name(self) -> str:
        """Return the trace's id as it is written."""
        return f"{self.trace_id:032x}"

    @property
    def line(self) -> bytes:
        """Return the header line by which vLLM continues the trace."""
        return b"traceparent: 00-%032x-%016x-%02x\r\n" % (self.trace_id, self.span_id, self.sampled)


def begin(traceparent: bytes | None, share: float) -> Trace:
    """Return the trace of a request with this header.

    The client chooses whether a trace is exported; of those that begin here, `share` are.
    """
    span_id = random.getrandbits(64) or 1
    found = None if traceparent is None else _TRACEPARENT.fullmatch(traceparent)
    if found is not None and (found[5] is None or found[1] != b"00"):
        trace_id, parent_id = int(found[2], 16), int(found[3], 16)
        if trace_id and parent_id:
            return Trace(trace_id, span_id, parent_id, bool(int(found[4], 16) & _SAMPLED))
    return Trace(random.getrandbits(128) or 1, span_id, 0, random.random() < share)  # noqa: S311 - no secret

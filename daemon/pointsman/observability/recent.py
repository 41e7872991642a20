"""Count the requests of the last minutes, for `GET /status`: decisions, errors, classifications."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from pointsman.observability.record import Record

MINUTES = 15
# Upper bounds in milliseconds; what takes longer counts in the last.
BUCKETS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)


@dataclass(slots=True)
class _Counts:
    """The counts of one minute, or of several; what clients make up, as the names of models, is no key."""

    minute: int = 0
    requests: int = 0
    decisions: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    errors: Counter[int] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    times: Counter[int] = field(default_factory=Counter)

    def add(self, other: _Counts) -> None:
        self.requests += other.requests
        self.decisions.update(other.decisions)
        self.errors.update(other.errors)
        self.sources.update(other.sources)
        self.times.update(other.times)


class Recent:
    """Counts by minute, of this minute and those before it, MINUTES in all."""

    def __init__(self) -> None:
        self._minutes: deque[_Counts] = deque(maxlen=MINUTES)

    def count(self, record: Record, now: float) -> None:
        """Count a request that ends `now`, in seconds of a steady clock."""
        minute = int(now // 60)
        if not self._minutes or self._minutes[-1].minute != minute:
            self._minutes.append(_Counts(minute))
        counts = self._minutes[-1]
        counts.requests += 1
        if record.status >= 400:
            counts.errors[record.status] += 1
        if record.routed is None:
            return
        decision, found = record.routed.decision, record.routed.classification
        counts.decisions[decision.category, decision.reason.value] += 1
        if found is not None:
            counts.sources[found.source] += 1
            if found.source != "hit":
                spent = (found.timing.queue + found.timing.tokenize + found.timing.infer) * 1000
                counts.times[min(bisect_left(BUCKETS_MS, spent), len(BUCKETS_MS) - 1)] += 1

    def summary(self, now: float) -> dict[str, Any]:
        """Return the sums as JSON, what is most frequent first; `now` as for `count`."""
        total, first = _Counts(), int(now // 60) - MINUTES + 1
        for counts in self._minutes:
            if counts.minute >= first:
                total.add(counts)
        return {
            "minutes": MINUTES,
            "requests": total.requests,
            "decisions": [
                {"category": category, "reason": reason, "requests": count}
                for (category, reason), count in total.decisions.most_common()
            ],
            "errors": [{"status": status, "requests": count} for status, count in total.errors.most_common()],
            "classified": {source: total.sources[source] for source in ("run", "hit", "coalesced")},
            "classification_ms": {"p50": _quantile(total.times, 0.5), "p95": _quantile(total.times, 0.95)},
        }


def _quantile(times: Counter[int], share: float) -> int | None:
    """Return the upper bound of the bucket with this quantile, None where nothing was counted."""
    seen = 0
    for place, bound in enumerate(BUCKETS_MS):
        seen += times[place]
        if seen and seen >= share * times.total():
            return bound
    return None

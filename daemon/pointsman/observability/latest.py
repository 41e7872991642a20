"""Remember the latest requests and kinds of errors, without prompts; they are added when requests are counted."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice, takewhile

import msgspec

from pointsman.observability.error_groups import ErrorGroup, ErrorGroups
from pointsman.observability.log_line import cut
from pointsman.observability.record import MAX_ERROR_BYTES, MAX_NAME_BYTES, Record

MAX_REQUESTS = 10_000
# Fields by which requests can be filtered.
FIELDS = ("category", "reason", "model", "key")


class RequestSummary(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A summary of a request: `number` counts them, `at` is when it ended, `asked` the requested model."""

    number: int
    at: float
    request_id: str
    path: str
    status: int
    ms: float
    first_byte_ms: float | None
    asked: str | None
    key: str | None
    endpoint: str | None
    error: str | None
    model: str | None = None
    category: str | None = None
    reason: str | None = None
    confidence: float | None = None
    missed: tuple[str, float] | None = None
    """The category that was not chosen, and its threshold."""
    threshold: tuple[float, str] | None = None
    """The threshold that the score was compared with, and its origin."""
    near: tuple[str, float] | None = None
    """The second category, if it has half of the best one's score."""
    would: str | None = None
    """The model that would have answered without the rollout."""
    rule: str | None = None
    arm: str | None = None
    shadow: str | None = None
    """The other model that the classifier in shadow would choose."""
    text_hash: str | None = None


class LatestRequests:
    """The latest MAX_REQUESTS, and the latest kinds of errors, whatever their age."""

    def __init__(self, settle: Callable[[], None]) -> None:
        """Take `settle`, which calls `add` with all requests that have ended."""
        self._settle = settle
        self._requests: deque[RequestSummary] = deque(maxlen=MAX_REQUESTS)
        self._errors = ErrorGroups()
        self._count = 0

    def add(self, records: Iterable[Record]) -> None:
        """Add requests that have ended."""
        for record in records:
            self._count += 1
            self._requests.append(_summary(self._count, record))
            if record.status >= 400 and record.status != 499:  # a client that left says nothing
                self._errors.add(record)

    def errors(self) -> list[ErrorGroup]:
        """Return the latest errors by kind, the kind with the newest first."""
        self._settle()
        return self._errors.all()

    def find(
        self, wanted: Mapping[str, str], max_requests: int, *, after: int = 0, before: int | None = None
    ) -> list[RequestSummary]:
        """Return at most this many requests, the newest first; `after` and `before` are numbers.

        `wanted` has values of FIELDS (an empty one matches requests without a value), a `status` (`404`, or `4xx` for
        all of these), and an `id` or its beginning.
        """
        self._settle()
        tests = [_test(name, value) for name, value in wanted.items()]
        newest = takewhile(lambda one: one.number > after, reversed(self._requests))
        found = (one for one in newest if (before is None or one.number < before) and all(fits(one) for fits in tests))
        return list(islice(found, max_requests))

    def names(self) -> dict[str, dict[str, int]]:
        """Return the number of requests with each value of FIELDS and each status, the most frequent first."""
        self._settle()
        return {
            name: dict(Counter(str(getattr(one, name) or "") for one in self._requests).most_common())
            for name in (*FIELDS, "status")
        }

    @property
    def count(self) -> int:
        """Return the number of the newest request."""
        return self._count

    def __len__(self) -> int:
        return len(self._requests)


def _test(name: str, value: str) -> Callable[[RequestSummary], bool]:
    """Return whether a request matches."""
    if name == "id":
        return lambda one: one.request_id.startswith(value)
    if name == "status":
        digits = value.rstrip("x")
        return lambda one: str(one.status).startswith(digits)
    return lambda one: getattr(one, name) == (value or None)


def _summary(number: int, record: Record) -> RequestSummary:
    first, routed = record.first_byte, record.routed
    common = (
        number,
        _rounded(record.ended, 1000),
        record.request_id,
        record.path,
        record.status,
        _rounded(record.seconds * 1000, 100),
        None if first is None else _rounded(first * 1000, 100),
        _short(record.original_model, MAX_NAME_BYTES),
        record.key,
        record.endpoint,
        None if record.error is None else cut(record.error, MAX_ERROR_BYTES),
    )
    if routed is None:
        return RequestSummary(*common)
    decision, read = routed.decision, routed.classification
    return RequestSummary(
        *common,
        _short(decision.model, MAX_NAME_BYTES),
        decision.category,
        decision.reason,
        None if decision.confidence is None else _rounded(decision.confidence, 10_000),
        None if decision.missed is None else (decision.missed.category, decision.missed.threshold),
        routed.threshold,
        None if routed.near is None else (routed.near.category, _rounded(routed.near.confidence, 10_000)),
        None if decision.would is None else decision.would.model,
        decision.rule,
        decision.arm,
        None if record.shadow is None or record.shadow.model == decision.model else record.shadow.model,
        None if read is None else read.text_hash,
    )


def _rounded(value: float, parts: int) -> float:
    """Return a value that is not negative in whole parts, in a third of the time of `round`."""
    return int(value * parts + 0.5) / parts


def _short(text: str | None, max_bytes: int) -> str | None:
    return text if text is None or len(text) * 4 <= max_bytes else cut(text, max_bytes)

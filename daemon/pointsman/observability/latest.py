"""Keep the latest requests and the latest errors, without prompts; they are taken in when requests are counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from pointsman.observability.log_line import cut
from pointsman.observability.record import LONGEST_ERROR_BYTES, LONGEST_NAME_BYTES, Record

MOST_ERRORS = 50


class Failed(msgspec.Struct, frozen=True, gc=False):
    """A request that was not answered as it should be; a client that left says nothing."""

    at: float
    request_id: str
    path: str
    status: int
    model: str | None
    endpoint: str | None
    error: str | None


class Latest:
    """The latest errors."""

    def __init__(self, settle: Callable[[], None]) -> None:
        """`settle` has `add` called with all requests that have ended."""
        self._settle = settle
        self._errors: deque[Failed] = deque(maxlen=MOST_ERRORS)

    def errors(self) -> list[Failed]:
        """Return the latest errors, the newest first."""
        self._settle()
        return list(reversed(self._errors))

    def add(self, records: Iterable[Record]) -> None:
        """Take requests that have ended."""
        for record in records:
            if record.status >= 400 and record.status != 499:
                self._errors.append(_failed(record))


def _failed(record: Record) -> Failed:
    model = record.original_model if record.routed is None else record.routed.decision.model
    return Failed(
        round(record.ended, 3),
        record.request_id,
        record.path,
        record.status,
        None if model is None else cut(model, LONGEST_NAME_BYTES),
        record.endpoint,
        None if record.error is None else cut(record.error, LONGEST_ERROR_BYTES),
    )

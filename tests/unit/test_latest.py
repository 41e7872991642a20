"""What is kept of the latest requests, for the page."""

from __future__ import annotations

from typing import Any

from pointsman.observability.latest import Latest
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record


def latest() -> tuple[Metrics, Latest]:
    metrics = Metrics(frozenset())
    found = Latest(metrics.settle)
    metrics.counted = found.add
    return metrics, found


def ended(status: int, name: str = "id", **fields: Any) -> Record:
    return Record(name, "/v1/chat/completions", status=status, ended=1.5, **fields)


def test_errors_are_told_the_newest_first_and_a_client_that_left_is_none() -> None:
    metrics, found = latest()
    for status in (200, 499, 400, 101, 502, 429):
        metrics.count(ended(status, error="why"))
    assert [one.status for one in found.errors()] == [429, 502, 400]
    assert (found.errors()[0].error, found.errors()[0].at) == ("why", 1.5)


def test_the_last_fifty_errors_are_kept() -> None:
    metrics, found = latest()
    for number in range(60):
        metrics.count(ended(500, str(number)))
    assert [one.request_id for one in found.errors()] == [str(number) for number in reversed(range(10, 60))]


def test_what_clients_write_into_an_error_is_kept_in_part() -> None:
    metrics, found = latest()
    metrics.count(ended(404, original_model="m" * 10_000, error="e" * 10_000))
    (one,) = found.errors()
    assert one.model is not None
    assert one.error is not None
    assert (len(one.model.encode()), len(one.error.encode())) == (256, 1024)

"""What is kept of the last hour and of the last day, for the page."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import pytest

from pointsman.adapters.catalog import Served
from pointsman.classify.classifier import Classifier
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.observability.traffic import Traffic
from pointsman.routing.formats import CHAT
from pointsman.routing.router import Routed, Router
from support.toy_config import config
from support.virtual_loop import VirtualLoop

NOON = 1_800_000_000.0 // 86_400 * 86_400 + 43_200
MINUTE = 60.0


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(frozenset({"technical-lora", "llama2-7b"}))


async def route(classifier: Classifier, text: str = "Fix my Python", model: str = "MoM") -> Routed:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return await Router(config(), classifier, Served).route(CHAT.parse(json.dumps(body).encode()))


def count(metrics: Metrics, routed: Routed | None = None, status: int = 200, **fields: Any) -> None:
    record = Record("id", "/v1/chat/completions", status=status, **fields)
    if routed is not None:
        record.decided(routed)
    metrics.count(record)


def by_name(series: list[dict[str, Any]]) -> dict[str, int]:
    return {one["name"]: sum(one["counts"]) for one in series}


def places(report: dict[str, Any]) -> list[tuple[float, int]]:
    """When requests were counted, and how many."""
    (found,) = report["statuses"]
    return [(report["start"] + slot * report["step_s"], many) for slot, many in enumerate(found["counts"]) if many]


def test_requests_count_in_their_minute_for_an_hour_and_in_their_five_minutes_for_a_day(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    for minute in range(1, 8):
        count(metrics)
        traffic.take(NOON + minute * MINUTE)
    hour, day = (traffic.report(window, NOON + 7.5 * MINUTE) for window in ("hour", "day"))
    assert places(hour) == [(NOON + minute * MINUTE, 1) for minute in range(7)]
    assert places(day) == [(NOON, 5), (NOON + 5 * MINUTE, 2)]
    assert [len(found["statuses"][0]["counts"]) for found in (hour, day)] == [60, 288]


@pytest.mark.parametrize(("window", "last"), [("hour", 59 * MINUTE), ("day", 287 * 5 * MINUTE)])
def test_what_is_older_than_the_window_is_gone(window: str, last: float) -> None:
    metrics = Metrics(frozenset())
    traffic = Traffic(metrics, NOON)
    count(metrics)
    traffic.take(NOON + 1)
    assert places(traffic.report(window, NOON + last)) == [(NOON, 1)]
    step = traffic.report(window, NOON)["step_s"]
    assert traffic.report(window, NOON + last + step)["statuses"] == []


def test_a_slot_that_comes_again_after_a_day_begins_anew(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    count(metrics)
    traffic.take(NOON + 86_400)
    count(metrics)
    count(metrics)
    assert places(traffic.report("day", NOON + 86_400 + 1)) == [(NOON + 86_400, 2)]


def test_a_report_has_what_was_counted_since_the_last_minute(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    count(metrics)
    assert places(traffic.report("hour", NOON + 10)) == [(NOON, 1)]
    assert places(traffic.report("hour", NOON + 20)) == [(NOON, 1)], "it is counted twice"


async def test_decisions_count_by_category_reason_and_model_the_most_frequent_first(
    metrics: Metrics, classifier: Classifier
) -> None:
    traffic = Traffic(metrics, NOON)
    python = await route(classifier)
    for routed in (await route(classifier, "", "somebody's"), python, python):
        count(metrics, routed)
    count(metrics, status=400)
    report = traffic.report("hour", NOON + 1)
    assert list(by_name(report["categories"]).items()) == [("technical", 2), ("", 1)]
    assert list(by_name(report["reasons"]).items()) == [("classified", 2), ("explicit_model", 1)]
    assert list(by_name(report["models"]).items()) == [("technical-lora", 2), ("other", 1)]
    assert by_name(report["statuses"]) == {"200": 3, "400": 1}
    assert sum(report["confidence"]["counts"]) == 2
    assert len(report["confidence"]["counts"]) == len(report["confidence"]["bounds"])


async def test_the_times_to_the_first_byte_and_to_the_last_are_told_by_model(
    metrics: Metrics, classifier: Classifier
) -> None:
    traffic = Traffic(metrics, NOON)
    routed = await route(classifier)
    for _ in range(4):
        count(metrics, routed, seconds=0.75, first_byte=0.2)
    count(metrics, await route(classifier, model="llama2-7b"), seconds=1000.0)
    technical, base = traffic.report("hour", NOON + 1)["latency"]
    assert technical == {
        "model": "technical-lora",
        "first_byte": {"requests": 4, "p50_ms": 175.0, "p95_ms": pytest.approx(242.5)},
        "whole": {"requests": 4, "p50_ms": 750.0, "p95_ms": pytest.approx(975.0)},
    }
    assert base == {
        "model": "llama2-7b",
        "first_byte": None,
        "whole": {"requests": 1, "p50_ms": 300_000.0, "p95_ms": 300_000.0},
    }


def test_a_day_takes_three_megabytes_whatever_names_there_are() -> None:
    metrics = Metrics(frozenset())
    tracemalloc.start()
    try:
        traffic = Traffic(metrics, NOON)
        for name in range(500):
            metrics.decisions.add(f"reason{name}", f"category{name}", f"model{name}", "200", "")
            metrics.model_first_byte_seconds.add(0.1, f"model{name}", "")
        for minute in range(3):
            traffic.take(NOON + minute * MINUTE)
        size = sum(one.size for one in tracemalloc.take_snapshot().filter_traces([_OWN]).statistics("filename"))
    finally:
        tracemalloc.stop()
    assert 2e6 < size < 3.2e6


_OWN = tracemalloc.Filter(True, "*/observability/traffic.py")


def test_of_a_thousand_names_the_first_have_counts_of_their_own_and_the_others_share_one(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    for name in range(1000):
        metrics.decisions.add("classified", f"category{name}", "base", "200", "")
    found = by_name(traffic.report("hour", NOON + 1)["categories"])
    assert found == {f"category{name}": 1 for name in range(63)} | {"other": 1000 - 63}


def test_the_counters_are_read_at_least_once_a_minute(clock: VirtualLoop, metrics: Metrics) -> None:
    traffic = Traffic(metrics)
    taken: list[float] = [clock.time()]
    metrics.counted = lambda _: taken.append(clock.time())
    task = clock.create_task(traffic.watch())
    clock.advance(300)
    task.cancel()
    taken.append(clock.time())
    assert max(after - before for before, after in itertools.pairwise(taken)) <= MINUTE

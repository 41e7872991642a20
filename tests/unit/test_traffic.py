"""What is kept of the last minutes, of the last hour and of the last day, for the page."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.formats import CHAT
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.observability.traffic import Traffic
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router
from support.toy_config import config
from support.virtual_loop import VirtualLoop

NOON = 1_800_000_000.0 // 86_400 * 86_400 + 43_200
MINUTE = 60.0


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(frozenset({"technical-lora", "llama2-7b"}))


async def route(classifier: Classifier, text: str = "Fix my Python", model: str = "MoM") -> RoutedRequest:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return await Router(config(), classifier, ServedModels).route(parse_request(CHAT, json.dumps(body).encode()))


def count(metrics: Metrics, routed: RoutedRequest | None = None, status: int = 200, **fields: Any) -> None:
    record = Record("id", "/v1/chat/completions", status=status, **fields)
    if routed is not None:
        record.decided(routed)
    metrics.count(record)


def by_name(series: list[dict[str, Any]]) -> dict[str, int]:
    return {one["name"]: sum(one["counts"]) for one in series}


def points(report: dict[str, Any]) -> list[tuple[float, int]]:
    """When requests were counted, and how many."""
    (found,) = report["statuses"]
    return [(report["start"] + slot * report["step_s"], many) for slot, many in enumerate(found["counts"]) if many]


def test_requests_count_in_their_15_seconds_their_minute_and_their_five_minutes(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    for minute in range(1, 8):
        count(metrics)
        traffic.take(NOON + minute * MINUTE)
    five, fifteen, hour, day = (traffic.report(name, NOON + 7.5 * MINUTE) for name in ("5m", "15m", "hour", "day"))
    assert points(five) == [(NOON + minute * MINUTE, 1) for minute in range(3, 7)]
    assert points(fifteen) == points(hour) == [(NOON + minute * MINUTE, 1) for minute in range(7)]
    assert points(day) == [(NOON, 5), (NOON + 5 * MINUTE, 2)]
    assert [(one["step_s"], len(one["statuses"][0]["counts"])) for one in (five, fifteen, hour, day)] == [
        *((15, 20), (15, 60)),
        *((60, 60), (300, 288)),
    ]


@pytest.mark.parametrize(
    ("window", "last"),
    [("5m", 19 * 15.0), ("15m", 59 * 15.0), ("hour", 59 * MINUTE), ("day", 287 * 5 * MINUTE)],
)
def test_what_is_older_than_the_window_is_gone(window: str, last: float) -> None:
    metrics = Metrics(frozenset())
    traffic = Traffic(metrics, NOON)
    count(metrics)
    traffic.take(NOON + 1)
    assert points(traffic.report(window, NOON + last)) == [(NOON, 1)]
    step = traffic.report(window, NOON)["step_s"]
    assert traffic.report(window, NOON + last + step)["statuses"] == []


def test_a_slot_that_comes_again_after_a_day_begins_anew(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    count(metrics)
    traffic.take(NOON + 86_400)
    count(metrics)
    count(metrics)
    assert points(traffic.report("day", NOON + 86_400 + 1)) == [(NOON + 86_400, 2)]


def test_a_report_has_what_was_counted_since_the_last_minute(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    count(metrics)
    assert points(traffic.report("hour", NOON + 10)) == [(NOON, 1)]
    assert points(traffic.report("hour", NOON + 20)) == [(NOON, 1)], "it is counted twice"


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
    assert list(by_name(report["requests"]).items()) == [("technical-lora", 2), ("other", 1)]
    assert by_name(report["statuses"]) == {"200": 3, "400": 1}
    assert sum(report["confidence"]["counts"]) == 2
    assert len(report["confidence"]["counts"]) == len(report["confidence"]["bounds"])


async def test_each_model_is_told_with_its_errors_times_and_tokens_the_most_frequent_first(
    metrics: Metrics, classifier: Classifier
) -> None:
    traffic = Traffic(metrics, NOON)
    routed = await route(classifier)
    for _ in range(3):
        count(metrics, routed, seconds=0.75, first_byte=0.2, tokens=(40, 7))
    count(metrics, routed, 503, seconds=0.75, first_byte=0.2)
    count(metrics, routed, 404, seconds=0.75, first_byte=0.2)
    count(metrics, await route(classifier, model="llama2-7b"), seconds=1000.0)
    report = traffic.report("hour", NOON + 1)
    technical, base = report["models"]
    assert technical == {
        "name": "technical-lora",
        "requests": 5,
        "failed": 1,
        "prompt_tokens": 120,
        "completion_tokens": 21,
        "first_byte": {"requests": 5, "p50_ms": 175.0, "p95_ms": pytest.approx(242.5)},
        "whole": {"requests": 5, "p50_ms": 750.0, "p95_ms": pytest.approx(975.0)},
    }
    assert (base["name"], base["failed"], base["first_byte"]) == ("llama2-7b", 0, None)
    assert base["whole"] == {"requests": 1, "p50_ms": 300_000.0, "p95_ms": 300_000.0}
    assert report["first_byte"] == technical["first_byte"], "of all models together"
    assert by_name(report["failed"]) == {"technical-lora": 1}


async def test_the_median_of_the_first_byte_is_told_by_slot(metrics: Metrics, classifier: Classifier) -> None:
    traffic = Traffic(metrics, NOON)
    routed = await route(classifier)
    for minute, seconds in enumerate(((0.2, 0.2, 40.0), (), (400.0,), (0.004,)), start=1):
        for first_byte in seconds:
            count(metrics, routed, first_byte=first_byte)
        traffic.take(NOON + minute * MINUTE)
    (found,) = traffic.report("hour", NOON + 4 * MINUTE)["first_byte_ms"]
    assert found == {"name": "technical-lora", "medians": [*[None] * 55, 212.5, None, 300_000.0, 2.5, None]}


def test_of_more_models_than_16_the_busiest_have_a_series_and_the_others_share_one(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    for number in range(20):
        status = "500" if number < 3 else "200"
        metrics.decisions.add("classified", "", f"model{number}", status, "", by=number + 1)
    report = traffic.report("hour", NOON + 1)
    *shown, others = report["requests"]
    assert [one["name"] for one in shown] == [f"model{number}" for number in range(19, 3, -1)]
    assert (others["name"], others["models"], sum(others["counts"])) == (None, 4, 1 + 2 + 3 + 4)
    assert by_name(report["failed"]) == {"model2": 3, "model1": 2, "model0": 1}, "by their own numbers"
    assert len(report["models"]) == 20


async def test_usage_is_told_by_key_and_model(metrics: Metrics, classifier: Classifier) -> None:
    traffic = Traffic(metrics, NOON)
    technical, base = await route(classifier), await route(classifier, model="llama2-7b")
    count(metrics, technical, key="ann", tokens=(40, 7))
    count(metrics, technical, 500, key="ann")
    count(metrics, base, key="ann")
    count(metrics, technical, key="ben", tokens=(1, 2))
    count(metrics, technical)
    count(metrics, status=404, key="ben")
    found = {(one.pop("key"), one.pop("model")): tuple(one.values()) for one in traffic.report("5m", NOON + 1)["usage"]}
    assert found == {
        ("ann", "technical-lora"): (2, 1, 40, 7),
        ("ann", "llama2-7b"): (1, 0, 0, 0),
        ("ben", "technical-lora"): (1, 0, 1, 2),
    }


def test_of_keys_with_models_the_first_1024_pairs_have_counts_of_their_own_and_the_others_share_one() -> None:
    metrics = Metrics(frozenset())
    traffic = Traffic(metrics, NOON)
    for number in range(1030):
        metrics.usage.add(f"key{number}", "base", requests=1, failed=0, tokens=(2, 3))
    metrics.usage.add("key3", "base", requests=1, failed=0, tokens=(2, 3))
    found = {(one["key"], one["model"]): one["requests"] for one in traffic.report("hour", NOON + 1)["usage"]}
    assert len(found) == 1025
    assert (found["key3", "base"], found["other", "other"]) == (2, 6)
    assert len(list(metrics.usage.items())) == 1025, "nor does the counter know more"


def bytes_of(models: int, keys: int, categories: int) -> int:
    """The bytes that a day of traffic takes, with so many names."""
    metrics = Metrics(frozenset())
    tracemalloc.start()
    try:
        traffic = Traffic(metrics, NOON)
        for number in range(max(models, categories)):
            model, category = f"model{number % models}", f"category{number % categories}"
            metrics.decisions.add(f"reason{number % categories}", category, model, "200", "")
            metrics.model_first_byte_seconds.add(0.1, model, "")
            metrics.model_request_seconds.add(0.1, model, "")
        for key, used in itertools.product(range(keys), range(min(models, 13))):
            metrics.usage.add(f"key{key}", f"model{used}", requests=1, failed=0, tokens=(1, 1))
        for minute in range(3):
            traffic.take(NOON + minute * MINUTE)
        return sum(one.size for one in tracemalloc.take_snapshot().filter_traces([_OWN]).statistics("filename"))
    finally:
        tracemalloc.stop()


def test_a_day_takes_3_megabytes_with_a_dozen_models() -> None:
    assert bytes_of(13, 12, 20) < 3e6


@pytest.mark.thorough
def test_a_day_takes_22_megabytes_whatever_names_there_are() -> None:
    assert 18e6 < bytes_of(1000, 1000, 1000) < 22e6


_OWN = tracemalloc.Filter(True, "*/observability/traffic.py")


def test_of_a_thousand_names_the_first_have_counts_of_their_own_and_the_others_share_one(metrics: Metrics) -> None:
    traffic = Traffic(metrics, NOON)
    for name in range(1000):
        metrics.decisions.add("classified", f"category{name}", f"model{name}", "200", "")
    metrics.decisions.add("classified", "other", "other", "200", "")
    report = traffic.report("hour", NOON + 1)
    assert by_name(report["categories"]) == {f"category{name}": 1 for name in range(63)} | {"other": 1001 - 63}
    assert {one["name"]: one["requests"] for one in report["models"]} == {f"model{name}": 1 for name in range(255)} | {
        "other": 1001 - 255
    }


def test_the_counters_are_read_at_least_every_15_seconds(clock: VirtualLoop, metrics: Metrics) -> None:
    traffic = Traffic(metrics)
    taken: list[float] = [clock.time()]
    metrics.counted = lambda _: taken.append(clock.time())
    task = clock.create_task(traffic.watch())
    clock.advance(300)
    task.cancel()
    taken.append(clock.time())
    assert max(after - before for before, after in itertools.pairwise(taken)) <= 15

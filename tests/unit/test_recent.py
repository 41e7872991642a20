"""The counts of the last minutes, which `GET /status` tells."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classification import Timing
from pointsman.classify.classifier import Classifier
from pointsman.formats import CHAT
from pointsman.observability.metrics import Metrics
from pointsman.observability.recent import RecentCounts, Totals
from pointsman.observability.record import Record
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router
from support.toy_config import config
from support.virtual_loop import VirtualLoop

MINUTE = 60.0


async def route(classifier: Classifier, text: str, model: str = "MoM") -> RoutedRequest:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return await Router(config(), classifier, ServedModels).route(parse_request(CHAT, json.dumps(body).encode()))


def count(metrics: Metrics, routed: RoutedRequest | None = None, status: int = 200) -> None:
    record = Record("id", "/v1/chat/completions", status=status)
    if routed is not None:
        record.decided(routed)
    metrics.count(record)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(frozenset({"technical-lora", "base"}))


def summary(metrics: Metrics) -> dict[str, Any]:
    return metrics.recent.summary()


def test_a_request_counts_for_fifteen_minutes_at_most(metrics: Metrics) -> None:
    recent = RecentCounts(metrics._totals, now=0.0)
    count(metrics)
    seen = []
    for minute in range(1, 17):
        recent.take(minute * MINUTE)
        summary = recent.summary(minute * MINUTE + 30)
        seen.append((summary["requests"], summary["seconds"]))
    assert seen[:14] == [(1, minute * 60 + 30) for minute in range(1, 15)]
    assert seen[14:] == [(0, 14 * 60 + 30)] * 2


def test_the_counters_are_read_every_minute(clock: VirtualLoop) -> None:
    read: list[float] = []

    def totals() -> Totals:
        read.append(clock.time())
        return Totals(Counter(), Counter(), Counter(), {}, ())

    recent = RecentCounts(totals)
    task = clock.create_task(recent.watch())
    clock.advance(150)
    task.cancel()
    assert [at - read[0] for at in read] == [0, 0, 60, 120]


async def test_requests_errors_and_times_are_told_by_model(metrics: Metrics, classifier: Classifier) -> None:
    technical, base = await route(classifier, "Fix my Python"), await route(classifier, "", "base")
    recent = metrics.recent
    recent.take(0.0)
    for routed, status, first in ((technical, 200, 0.2), (technical, 200, 0.2), (technical, 500, None), (base, 400, 3)):
        record = Record("id", "/v1/chat/completions", status=status, first_byte=first, seconds=4.0, tokens=(7, 3))
        record.decided(routed)
        metrics.count(record)
    technical_told, base_told = recent.summary(1.0)["models"]
    assert (technical_told["model"], technical_told["requests"], technical_told["failed"]) == ("technical-lora", 3, 1)
    assert 100 <= technical_told["first_byte_ms"]["p50"] <= 250
    assert 2500 <= technical_told["whole_ms"]["p95"] <= 5000
    assert (technical_told["prompt_tokens"], technical_told["completion_tokens"]) == (21, 9)
    assert (base_told["model"], base_told["requests"], base_told["failed"]) == ("base", 1, 0)
    recent.take(1.0)
    for minute in range(20):
        recent.take(minute * MINUTE)
    assert recent.summary(20 * MINUTE)["models"] == []
    metrics.count(record)
    (base_told,) = recent.summary(20 * MINUTE)["models"]
    assert (base_told["requests"], base_told["prompt_tokens"], base_told["completion_tokens"]) == (1, 7, 3)


async def test_decisions_count_by_category_and_reason_the_most_frequent_first(
    metrics: Metrics, classifier: Classifier
) -> None:
    python = await route(classifier, "Fix my Python")
    for routed in (await route(classifier, "", "legal-lora"), python, python):
        count(metrics, routed)
    count(metrics)
    assert summary(metrics)["requests"] == 4
    assert summary(metrics)["decisions"] == [
        {"category": "technical", "reason": "classified", "requests": 2},
        {"category": None, "reason": "explicit_model", "requests": 1},
    ]


def test_errors_count_by_status(metrics: Metrics) -> None:
    for status in (200, 399, 502, 400, 502, 499):
        count(metrics, status=status)
    assert summary(metrics)["errors"] == [
        {"status": 502, "requests": 2},
        {"status": 400, "requests": 1},
        {"status": 499, "requests": 1},
    ]


async def test_a_text_from_the_cache_is_no_run(metrics: Metrics, classifier: Classifier) -> None:
    first, again = await route(classifier, "Fix my Python"), await route(classifier, "Fix my Python")
    count(metrics, taking(first, 0.004))
    for _ in range(9):
        count(metrics, again)
    assert summary(metrics)["run_ms"] == {"p50": 5, "p95": 5}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], {"p50": None, "p95": None}),
        ([0.0005], {"p50": 0.5, "p95": 0.5}),
        ([0.001], {"p50": 1, "p95": 1}),
        ([0.0015] * 19 + [0.4], {"p50": 2, "p95": 2}),
        ([0.0015] * 9 + [0.4], {"p50": 2, "p95": 500}),
        ([3600.0], {"p50": 300_000, "p95": 300_000}),
    ],
)
async def test_times_are_told_as_a_bound_that_so_many_runs_keep(
    metrics: Metrics, classifier: Classifier, seconds: list[float], expected: dict[str, Any]
) -> None:
    """What takes longer than the last bound is told as that bound."""
    routed = await route(classifier, "Fix my Python")
    for spent in seconds:
        count(metrics, taking(routed, spent))
    assert summary(metrics)["run_ms"] == expected


def taking(routed: RoutedRequest, seconds: float) -> RoutedRequest:
    """The same classification, run in this time."""
    assert routed.classification is not None
    timing = Timing(infer=seconds)
    run = replace(routed.classification, timing=timing, source="run")
    return structs.replace(routed, reading=structs.replace(routed.reading, classification=run))

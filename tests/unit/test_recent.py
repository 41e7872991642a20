"""The counts of the last minutes, which `GET /status` tells."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from pointsman.adapters.catalog import Served
from pointsman.classify.classifier import Classifier, Timing
from pointsman.observability.recent import Recent
from pointsman.observability.record import Record
from pointsman.routing.formats import CHAT
from pointsman.routing.router import Routed, Router
from support.toy_config import config

MINUTE = 60.0


async def route(classifier: Classifier, text: str, model: str = "MoM") -> Routed:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return await Router(config(), classifier, Served).route(CHAT.parse(json.dumps(body).encode()))


def record(routed: Routed | None = None, status: int = 200) -> Record:
    return Record("id", "/v1/chat/completions", status=status, routed=routed)


def taking(routed: Routed, seconds: float) -> Routed:
    """The same classification, run in this time."""
    assert routed.classification is not None
    timing = Timing(queue=seconds / 2, tokenize=0.0, infer=seconds / 2)
    return structs.replace(routed, classification=replace(routed.classification, timing=timing, source="run"))


def requests(recent: Recent, now: float) -> int:
    total: int = recent.summary(now)["requests"]
    return total


def test_a_request_counts_for_fifteen_minutes() -> None:
    recent = Recent()
    recent.count(record(), 1000 * MINUTE + 59)
    assert [requests(recent, 1000 * MINUTE + later * MINUTE) for later in (0, 1, 14, 15, 10_000)] == [1, 1, 1, 0, 0]


def test_no_more_than_fifteen_minutes_are_kept() -> None:
    recent = Recent()
    for minute in range(1000):
        recent.count(record(), minute * MINUTE)
    assert requests(recent, 999 * MINUTE) == 15
    assert len(recent._minutes) == 15


async def test_decisions_count_by_category_and_reason_the_most_frequent_first(classifier: Classifier) -> None:
    recent = Recent()
    python = await route(classifier, "Fix my Python")
    for routed in (await route(classifier, "", "legal-lora"), python, python):
        recent.count(record(routed), 0.0)
    recent.count(record(), MINUTE)

    told = recent.summary(MINUTE)
    assert told["requests"] == 4
    assert told["decisions"] == [
        {"category": "technical", "reason": "classified", "requests": 2},
        {"category": None, "reason": "explicit_model", "requests": 1},
    ]


async def test_names_that_clients_make_up_take_no_memory(classifier: Classifier) -> None:
    recent = Recent()
    for number in range(100):
        recent.count(record(await route(classifier, "", f"model-{number}")), 0.0)
    assert recent.summary(0.0)["decisions"] == [{"category": None, "reason": "explicit_model", "requests": 100}]


def test_errors_count_by_status() -> None:
    recent = Recent()
    for status in (200, 399, 502, 400, 502, 499):
        recent.count(record(status=status), 0.0)
    assert recent.summary(0.0)["errors"] == [
        {"status": 502, "requests": 2},
        {"status": 400, "requests": 1},
        {"status": 499, "requests": 1},
    ]


async def test_a_text_from_the_cache_counts_as_one_and_takes_no_time(classifier: Classifier) -> None:
    recent = Recent()
    first, again = await route(classifier, "Fix my Python"), await route(classifier, "Fix my Python")
    recent.count(record(taking(first, 0.004)), 0.0)
    for _ in range(9):
        recent.count(record(again), 0.0)

    told = recent.summary(0.0)
    assert told["classified"] == {"run": 1, "hit": 9, "coalesced": 0}
    assert told["classification_ms"] == {"p50": 5, "p95": 5}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([], {"p50": None, "p95": None}),
        ([0.0005], {"p50": 1, "p95": 1}),
        ([0.001], {"p50": 1, "p95": 1}),
        ([0.0015] * 19 + [0.4], {"p50": 2, "p95": 2}),
        ([0.0015] * 9 + [0.4], {"p50": 2, "p95": 500}),
        ([3600.0], {"p50": 10_000, "p95": 10_000}),
    ],
)
async def test_times_are_told_as_a_bound_that_so_many_texts_keep(
    classifier: Classifier, seconds: list[float], expected: dict[str, Any]
) -> None:
    recent, routed = Recent(), await route(classifier, "Fix my Python")
    for spent in seconds:
        recent.count(record(taking(routed, spent)), 0.0)
    assert recent.summary(0.0)["classification_ms"] == expected

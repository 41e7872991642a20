"""What is kept of the latest requests, for the page."""

from __future__ import annotations

import asyncio
import json
import threading
import tracemalloc
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.api.decisions import decisions_route
from pointsman.classify.classifier import Classifier
from pointsman.formats import CHAT
from pointsman.observability.latest import LatestRequests
from pointsman.observability.metrics import Metrics
from pointsman.observability.record import Record
from pointsman.routing.decision import Reason
from pointsman.routing.opinion import Opinion
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import Router
from pointsman.server.response import Response
from support.process import eventually
from support.toy_config import config

SECRET = "Fix my Python, said Rosebud"


def latest() -> tuple[Metrics, LatestRequests]:
    metrics = Metrics(frozenset())
    found = LatestRequests(metrics.settle)
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


async def route(classifier: Classifier, text: str = SECRET, model: str = "MoM") -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return await Router(config(), classifier, ServedModels).route(parse_request(CHAT, json.dumps(body).encode()))


def asked(found: LatestRequests, query: str = "", texts_file: Any = None) -> tuple[int, Any]:
    """The answer of `GET /decisions`."""
    request: Any = SimpleNamespace(head=SimpleNamespace(query=query))
    response = cast("Response", asyncio.run(_once(decisions_route(found, lambda: texts_file).handler(request))))
    return response.status, json.loads(response.body)


async def _once(answer: Any) -> Any:
    return await answer


def numbers(found: LatestRequests, query: str) -> list[int]:
    status, answer = asked(found, query)
    assert status == 200, answer
    return [one["number"] for one in answer["decisions"]]


@pytest.fixture
def decided(classifier: Classifier) -> LatestRequests:
    """1 and 4 are technical, 2 names its model, 3 is refused."""
    metrics, found = latest()
    technical, explicit = asyncio.run(route(classifier)), asyncio.run(route(classifier, "", "legal-lora"))
    decisions = ((technical, "ann"), (explicit, "ann"), (None, None), (technical, "ben"))
    for number, (routed, key) in enumerate(decisions, 1):
        record = ended(400 if routed is None else 200, f"id-{number}", key=key)
        if routed is not None:
            record.decided(routed)
        metrics.count(record)
    return found


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", [4, 3, 2, 1]),
        ("limit=2", [4, 3]),
        ("after=2", [4, 3]),
        ("before=3", [2, 1]),
        ("before=4&after=1&limit=1", [3]),
        ("category=technical", [4, 1]),
        ("category=technical&key=ann", [1]),
        ("reason=explicit_model", [2]),
        ("model=legal-lora", [2]),
        ("category=", [3, 2]),
        ("key=", [3]),
        ("key=nobody", []),
        ("status=400", [3]),
        ("status=4xx", [3]),
        ("status=2xx&before=3", [2, 1]),
        ("status=5xx", []),
        ("status=200&key=ben", [4]),
        ("id=id-3", [3]),
        ("id=id-", [4, 3, 2, 1]),
        ("id=d-3", []),
    ],
)
def test_requests_are_chosen_by_number_category_reason_model_key_status_and_id(
    decided: LatestRequests, query: str, expected: list[int]
) -> None:
    assert numbers(decided, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("after=-1", "$.after"),
        ("limit=501", "$.limit"),
        ("limit=many", "$.limit"),
        ("before=0", "$.before"),
        ("colour=red", "colour"),
        ("status=40", "$.status"),
        ("status=4x4", "$.status"),
        ("status=4004", "$.status"),
        ("status=0xx", "$.status"),
        ("status=", "$.status"),
        ("id=", "$.id"),
        (f"id={'1' * 129}", "$.id"),
        ("after", "bad query field"),
        ("&".join(f"after={number}" for number in range(100)), "number of fields"),
    ],
)
def test_a_query_that_cannot_be_used_is_told(decided: LatestRequests, query: str, expected: str) -> None:
    status, answer = asked(decided, query)
    assert (status, answer["error"]["code"]) == (400, "invalid_query")
    assert expected in answer["error"]["message"].lower()


def test_the_names_to_choose_from_are_counted(decided: LatestRequests) -> None:
    _, answer = asked(decided, "names=true")
    assert answer["names"] == {
        "category": {"technical": 2, "": 2},
        "reason": {"classified": 2, "explicit_model": 1, "": 1},
        "model": {"technical-lora": 2, "legal-lora": 1, "": 1},
        "key": {"ann": 2, "ben": 1, "": 1},
        "status": {"200": 3, "400": 1},
    }
    assert (answer["latest"], answer["kept"]) == (4, 4)
    assert "names" not in asked(decided)[1]


def test_a_decision_is_told_without_the_prompt(decided: LatestRequests) -> None:
    _, answer = asked(decided)
    newest = answer["decisions"][0]
    assert (newest["category"], newest["reason"], newest["model"], newest["asked"]) == (
        *("technical", "classified", "technical-lora"),
        None,
    )
    assert 0.9 < newest["confidence"] <= 1
    assert "Rosebud" not in json.dumps(answer)


def test_what_the_classifier_in_shadow_would_have_chosen_is_told_where_it_is_another_model(
    classifier: Classifier,
) -> None:
    metrics, found = latest()
    for model in ("legal-lora", "technical-lora"):
        record = ended(200)
        record.decided(asyncio.run(route(classifier)))
        record.shadow = Opinion(model, Reason.CLASSIFIED)
        metrics.count(record)
    assert [one.get("shadow") for one in asked(found)[1]["decisions"]] == [None, "legal-lora"]


class Kept:
    """A file of texts; its disk may hang until `free` is set."""

    def __init__(self, texts: dict[str, str], *, hangs: bool = False) -> None:
        self._texts = texts
        self._hangs = hangs
        self.free = threading.Event()
        self.asked = 0

    def latest(self) -> dict[str, str]:
        self.asked += 1
        if self._hangs:
            self.free.wait(60)
        return self._texts


def test_texts_are_told_of_the_decisions_that_are_asked_for_where_they_are_kept(classifier: Classifier) -> None:
    metrics, found = latest()
    record = ended(200)
    record.decided(asyncio.run(route(classifier)))
    metrics.count(record)
    metrics.count(ended(404))
    assert record.routed is not None
    assert record.routed.classification is not None
    known = record.routed.classification.text_hash
    assert asked(found)[1]["texts"] is None
    texts = Kept({known: SECRET, "other": "another"})
    assert asked(found, texts_file=texts)[1]["texts"] == {known: SECRET}
    assert asked(found, "after=1", texts_file=texts)[1]["texts"] == {}
    assert asked(found, "after=2", texts_file=texts)[1]["texts"] == {}
    assert texts.asked == 1


def test_a_disk_that_hangs_takes_the_texts_and_one_thread(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pointsman.api.decisions.READ_SECONDS", 0.05)
    metrics, found = latest()
    record = ended(200)
    record.decided(asyncio.run(route(classifier)))
    metrics.count(record)
    texts = Kept({}, hangs=True)
    handler = decisions_route(found, lambda: cast("Any", texts)).handler
    try:
        for _ in range(3):
            answer = asyncio.run(_once(handler(cast("Any", SimpleNamespace(head=SimpleNamespace(query=""))))))
            body = json.loads(cast("Response", answer).body)
            assert (len(body["decisions"]), body["texts"]) == (1, {})
        assert texts.asked == 1
    finally:
        texts.free.set()


async def test_a_decision_has_its_threshold_and_what_is_near(classifier: Classifier) -> None:
    metrics, found = latest()
    record = ended(200)
    record.decided(await route(classifier, "python landlord"))
    metrics.count(record)
    (one,) = found.find({}, 1)
    assert one.threshold == (0.6, "category_model.threshold")
    assert one.near is not None
    assert (one.near[0], round(one.near[1], 1)) == ("legal", 0.5)


async def test_all_who_ask_at_the_same_time_are_told_the_texts_of_one_reading(classifier: Classifier) -> None:
    """As two tabs do, which draw a decision once."""
    metrics, found = latest()
    record = ended(200)
    record.decided(await route(classifier))
    metrics.count(record)
    assert record.routed is not None
    assert record.routed.classification is not None
    texts = Kept({record.routed.classification.text_hash: SECRET}, hangs=True)
    handler = decisions_route(found, lambda: cast("Any", texts)).handler
    asking = [
        asyncio.ensure_future(_once(handler(cast("Any", SimpleNamespace(head=SimpleNamespace(query=""))))))
        for _ in "12"
    ]
    await eventually(lambda: bool(texts.asked), "the first one's reading has begun")
    texts.free.set()
    for answer in await asyncio.gather(*asking):
        assert list(json.loads(answer.body)["texts"].values()) == [SECRET]
    assert texts.asked == 1


@pytest.mark.thorough
def test_ten_thousand_requests_are_kept_in_25_megabytes_whatever_clients_write() -> None:
    metrics, found = latest()
    tracemalloc.start()
    try:
        for number in range(10_100):
            name = f"{number}".ljust(2_000, "\u00e9")
            metrics.count(ended(500, name[:128], original_model=name, error=name, key=name[:64]))
        metrics.settle()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 25e6
    assert numbers(found, "before=102") == [101]
    assert asked(found)[1]["kept"] == 10_000

"""vLLM Semantic Router's classification API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.api import classification as intents
from pointsman.classify.classifier import Classifier
from pointsman.config.model import RoutingOptions
from pointsman.errors import HttpError, RequestError
from pointsman.routing.router import Router
from support.config_files import LABELS
from support.toy_config import BASE, config


def body(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


async def test_an_intent_is_the_category_with_all_the_probabilities(router: Router) -> None:
    answer = await intents.intent(router, body(text="Fix my Python", options={"include_explanation": True}))
    assert answer["classification"].keys() == {"category", "confidence", "processing_time_ms"}
    assert answer["classification"]["category"] == "technical"
    assert (answer["recommended_model"], answer["routing_decision"]) == (
        "technical-lora",
        "high_confidence_specialized",
    )
    assert tuple(answer["probabilities"]) == LABELS
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)


async def test_an_unsure_intent_names_the_best_category_and_recommends_the_default_model(router: Router) -> None:
    answer = await intents.intent(router, body(text="python landlord"))
    assert answer["classification"]["category"] in {"technical", "legal"}
    assert (answer["recommended_model"], answer["routing_decision"]) == (BASE, "low_confidence_general")


async def test_the_categorys_own_threshold_counts(classifier: Classifier) -> None:
    made = config(routing=RoutingOptions(thresholds={"technical": 1.0, "medical": 0.1}))
    router = Router(made, classifier, ServedModels)
    sure = [await intents.intent(router, body(text=text)) for text in ("Fix my Python", "blood")]
    assert [answer["routing_decision"] for answer in sure] == ["low_confidence_general", "high_confidence_specialized"]
    answer = await intents.batch(router, body(texts=["python", "blood"]))
    assert answer["statistics"]["low_confidence_count"] == 1


async def test_the_callers_threshold_and_wish_for_no_probabilities_count(router: Router) -> None:
    options = {"return_probabilities": False, "confidence_threshold": 0.3}
    answer = await intents.intent(router, body(text="python landlord", options=options))
    assert answer["routing_decision"] == "high_confidence_specialized"
    assert "probabilities" not in answer


async def test_a_batch_is_answered_in_order_with_its_statistics(router: Router) -> None:
    answer = await intents.batch(router, body(texts=["python", "blood", "more python", "python landlord"]))
    assert [row["category"] for row in answer["results"][:3]] == ["technical", "medical", "technical"]
    assert answer["total_count"] == 4
    statistics = answer["statistics"]
    assert sum(statistics["category_distribution"].values()) == 4
    assert statistics["low_confidence_count"] == 1
    assert statistics["avg_confidence"] == pytest.approx(sum(row["confidence"] for row in answer["results"]) / 4)


@pytest.mark.parametrize(
    "wrong",
    [b"", b"[]", b"{}", b'{"text":5}', b'{"text":""}', b'{"text":" \\n"}', b'{"text":"\xff"}', b"[" * 100_000],
)
async def test_a_bad_intent_is_the_clients_fault(router: Router, wrong: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        await intents.intent(router, wrong)
    assert (caught.value.status, caught.value.code) == (400, "INVALID_INPUT")


@pytest.mark.parametrize(
    "fields",
    [
        {"texts": []},
        {"texts": ["python", ""]},
        {"texts": ["python"] * 101},
        {"texts": ["python"], "task_type": "pii"},
        {"texts": "python"},
    ],
)
async def test_a_bad_batch_is_the_clients_fault(router: Router, fields: dict[str, Any]) -> None:
    with pytest.raises(RequestError) as caught:
        await intents.batch(router, body(**fields))
    assert (caught.value.status, caught.value.code) == (400, "INVALID_INPUT")


async def test_a_classifier_that_fails_is_ours(router: Router) -> None:
    router.classifier.encoder.close()
    for answer in (intents.intent(router, body(text="python")), intents.batch(router, body(texts=["python", "blood"]))):
        with pytest.raises(HttpError) as caught:
            await answer
        assert (caught.value.status, caught.value.code) == (503, "CLASSIFICATION_ERROR")


async def test_a_body_of_more_than_2_mib_is_refused_undecoded(router: Router) -> None:
    with pytest.raises(RequestError, match="2097152 bytes") as caught:
        await intents.batch(router, body(texts=["a" * 2**21]))
    assert (caught.value.status, caught.value.code) == (413, "INVALID_INPUT")

"""The dry run: of any format, and on the config with which it began."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.api.admin import dry_run_route
from pointsman.api.dry_run import dry_run
from pointsman.classify.classifier import Classifier
from pointsman.formats import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Format
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.conversations import ConversationState
from pointsman.routing.decision import Reason
from pointsman.routing.explain import render
from pointsman.routing.opinion import Opinion
from pointsman.routing.router import RoutedRequest, Router
from support.toy_config import A, config

TURN = [{"role": "user", "content": "Fix my Python"}]


@pytest.mark.parametrize(
    ("body", "form"),
    [
        ({"messages": TURN}, CHAT),
        ({"messages": TURN, "system": "Theirs."}, MESSAGES),
        ({"messages": TURN, "system": None}, CHAT),
        ({"prompt": "Fix my Python"}, COMPLETIONS),
        ({"input": "Fix my Python"}, RESPONSES),
        ({"input": "Fix my Python", "previous_response_id": "resp_1"}, RESPONSES),
        ({}, CHAT),
    ],
)
async def test_the_format_of_a_body_is_found_by_its_fields(
    classifier: Classifier, body: dict[str, Any], form: Format
) -> None:
    parsed, _ = await dry_run(Router(config(), classifier, ServedModels), json.dumps(body).encode())
    assert parsed.format is form


class _Request:
    """A body that has arrived."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, seconds: float) -> bytes:
        return self._body


@pytest.mark.parametrize(("body", "status"), [({"messages": TURN}, 200), ([], 400), ({"model": 5}, 400)])
async def test_the_config_is_held_until_the_answer_whatever_it_is(
    classifier: Classifier, body: Any, status: int
) -> None:
    """A reload that ends meanwhile would close the classifier."""
    events: list[str] = []

    def begin() -> tuple[Router, Any]:
        events.append("begun")
        return Router(config(), classifier, ServedModels), lambda: events.append("released")

    route: Any = dry_run_route(begin, StoredResponses(time.time))
    answer = await route.handler(_Request(json.dumps(body).encode()))
    assert (answer.status, events) == (status, ["begun", "released"])


async def test_what_the_classifier_in_shadow_makes_of_it_is_told_beside(classifier: Classifier) -> None:
    router = Router(config(), classifier, ServedModels)

    async def second(_: Router, routed: RoutedRequest) -> Opinion:
        return Opinion(f"not {routed.decision.model}", Reason.CLASSIFIED, "legal", 0.875)

    body = json.dumps({"messages": [{"role": "user", "content": "Fix my Python"}]}).encode()
    route: Any = dry_run_route(lambda: (router, lambda: None), StoredResponses(time.time), second)
    answer = json.loads((await route.handler(_Request(body))).body)
    assert answer["shadow"] == {
        "model": "not technical-lora",
        "reason": "classified",
        "category": "legal",
        "confidence": 0.875,
    }
    assert "in shadow  not technical-lora (legal, classified, confidence 0.875)" in render(answer).splitlines()
    alone: Any = dry_run_route(lambda: (router, lambda: None), StoredResponses(time.time))
    answer = json.loads((await alone.handler(_Request(body))).body)
    assert answer["shadow"] is None
    assert "in shadow" not in render(answer)


@pytest.mark.parametrize(("client", "outcome"), [("", "kept"), ("somebody", "first")])
async def test_on_the_admin_port_a_response_is_continued_if_a_client_without_credentials_has_it(
    classifier: Classifier, client: str, outcome: str
) -> None:
    """The port is not told whose the request is, and the service would find another client's."""
    responses = StoredResponses(time.time)
    responses.add("resp_1", client, "a", ConversationState("legal", 0.0))
    router = Router(config(endpoints=(A,)), classifier, ServedModels)
    route: Any = dry_run_route(lambda: (router, lambda: None), responses)
    body = {"model": "MoM", "input": "thanks", "previous_response_id": "resp_1"}
    answer = await route.handler(_Request(json.dumps(body).encode()))
    assert (answer.status, json.loads(answer.body)["conversation"]["outcome"]) == (200, outcome)

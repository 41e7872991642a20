"""The dry run: of any format, and on the config with which it began."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pointsman.adapters.catalog import Served
from pointsman.api.admin import dry_run_route
from pointsman.api.dry_run import dry_run
from pointsman.classify.classifier import Classifier
from pointsman.proxy.stored_responses import StoredResponses
from pointsman.routing.conversations import Kept
from pointsman.routing.formats import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Format
from pointsman.routing.router import Router
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
        ({}, CHAT),
    ],
)
async def test_the_format_of_a_body_is_found_by_its_fields(
    classifier: Classifier, body: dict[str, Any], form: Format
) -> None:
    parsed, _ = await dry_run(Router(config(), classifier, Served), json.dumps(body).encode())
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
    held: list[str] = []

    def begin() -> tuple[Router, Any]:
        held.append("begun")
        return Router(config(), classifier, Served), lambda: held.append("released")

    route: Any = dry_run_route(begin, StoredResponses(time.time))
    answer = await route.handler(_Request(json.dumps(body).encode()))
    assert (answer.status, held) == (status, ["begun", "released"])


@pytest.mark.parametrize(("client", "outcome"), [("", "kept"), ("somebody", "first")])
async def test_on_the_admin_port_a_response_is_continued_if_a_client_without_credentials_has_it(
    classifier: Classifier, client: str, outcome: str
) -> None:
    """The port is not told whose the request is, and the service would find another client's."""
    responses = StoredResponses(time.time)
    responses.add("resp_1", client, "a", Kept("legal", 0.0))
    router = Router(config(endpoints=(A,)), classifier, Served)
    route: Any = dry_run_route(lambda: (router, lambda: None), responses)
    body = {"model": "MoM", "input": "thanks", "previous_response_id": "resp_1"}
    answer = await route.handler(_Request(json.dumps(body).encode()))
    assert (answer.status, json.loads(answer.body)["conversation"]["outcome"]) == (200, outcome)

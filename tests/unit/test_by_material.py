"""Where the material that an ask only points to tells what it is about."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.config.model import RoutingOptions
from pointsman.formats import CHAT, COMPLETIONS
from pointsman.observability.record import Record, request_line
from pointsman.routing.decision import Reason
from pointsman.routing.explain import describe, render
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.router import RoutedRequest, Router
from support.gate import Gate
from support.toy_config import category, config

TOLD = "It goes on from month to month, and it is due on the first of each. "
LEASE = f"The landlord keeps it. {TOLD * 3}"
WEATHER = f"The weather is fair. {TOLD * 3}"
QUESTION = "Is this clause valid?"


def asked(question: str = QUESTION, document: str = LEASE, *before: str) -> ParsedRequest:
    turns = [*before, f"<document>\n{document}\n</document>\n\n{question}"]
    messages = [{"role": ("user", "assistant")[index % 2], "content": turn} for index, turn in enumerate(turns)]
    return parse_request(CHAT, json.dumps({"model": "MoM", "messages": messages}).encode())


def outcome(routed: RoutedRequest) -> tuple[str | None, Reason, bool]:
    return routed.decision.category, routed.decision.reason, routed.reading.by_material


async def test_material_tells_what_a_question_is_about_that_only_points_to_it(router: Router) -> None:
    routed = await router.route(asked())
    assert outcome(routed) == ("legal", Reason.CLASSIFIED, True)
    assert routed.text.startswith(f"{QUESTION}\n\nThe landlord keeps it.")


@pytest.mark.parametrize(
    ("question", "document", "expected"),
    [
        pytest.param("Is this python valid?", LEASE, ("technical", Reason.CLASSIFIED, False), id="the ask is sure"),
        pytest.param(
            "Is this python valid?", LEASE * 20, ("technical", Reason.CLASSIFIED, False), id="both are sure of another"
        ),
        pytest.param("Can you summarise this for my neighbour?", LEASE, (None, Reason.NO_CATEGORY, False), id="a task"),
        pytest.param("Is this weather normal?", WEATHER, (None, Reason.NO_CATEGORY, False), id="neutral"),
    ],
)
async def test_else_the_ask_alone_decides(
    router: Router, question: str, document: str, expected: tuple[str | None, Reason, bool]
) -> None:
    routed = await router.route(asked(question, document))
    assert routed.text == question
    assert (routed.decision.category, routed.reading.by_material) == (expected[0], expected[2])
    assert routed.decision.reason in (expected[1], Reason.LOW_CONFIDENCE)


async def test_the_category_of_the_rest_is_none(classifier: Classifier) -> None:
    """Neither does an ask that has it decide, nor does material decide for it."""
    router = Router(config(*map(category, ("technical", "legal", "general"))), classifier, ServedModels)
    assert router.policy.rest == "general"
    twice = f"The landlord agrees. {LEASE}"
    assert outcome(await router.route(asked("Is this weather normal?", twice))) == ("legal", Reason.CLASSIFIED, True)
    assert outcome(await router.route(asked(document=WEATHER))) == ("general", Reason.CLASSIFIED, False)


async def test_the_fallback_is_no_category_that_the_ask_has(classifier: Classifier) -> None:
    """Also where it is the same: later turns stay with what the material is about."""
    listed = (category("technical", mmlu_categories=["computer science"]), category("legal", mmlu_categories=["law"]))
    router = Router(config(*listed, fallback="legal"), classifier, ServedModels)
    assert outcome(await router.route(asked())) == ("legal", Reason.CLASSIFIED, True)


@pytest.mark.parametrize(("threshold", "by_material"), [(0.98, True), (0.995, False)])
async def test_it_must_come_half_of_the_way_from_the_threshold_to_certainty(
    classifier: Classifier, threshold: float, by_material: bool
) -> None:
    """The word gives a score of 0.9956, which alone would do for both."""
    router = Router(config(routing=RoutingOptions(thresholds={"legal": threshold})), classifier, ServedModels)
    assert (await router.route(asked("landlord"))).decision.reason is Reason.CLASSIFIED
    assert (await router.route(asked())).reading.by_material is by_material


async def test_a_conversation_that_has_a_category_asks_no_material(router: Router) -> None:
    said = ("Fix my Python", "Done.")
    await router.route(parse_request(CHAT, json.dumps({"messages": [{"role": "user", "content": said[0]}]}).encode()))
    routed = await router.route(asked(QUESTION, LEASE, *said))
    assert outcome(routed) == ("technical", Reason.STICKY, False)


async def test_what_material_decided_is_what_the_conversation_is_about(router: Router) -> None:
    await router.route(asked())
    routed = await router.route(follow_up("thanks"))
    assert (routed.decision.category, routed.decision.reason) == ("legal", Reason.STICKY)


def follow_up(text: str) -> ParsedRequest:
    first = f"<document>\n{LEASE}\n</document>\n\n{QUESTION}"
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": first},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": text},
    ]
    return parse_request(CHAT, json.dumps({"model": "MoM", "messages": messages}).encode())


async def test_after_a_greeting_it_may_tell_even_of_a_question_without_content(router: Router) -> None:
    await router.route(parse_request(CHAT, json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()))
    routed = await router.route(asked("Is this right?", LEASE, "Hi", "Hello."))
    assert outcome(routed) == ("legal", Reason.CLASSIFIED, True)


async def test_of_several_prompts_no_material_is_read(router: Router) -> None:
    prompts = [f"<document>\n{LEASE}\n</document>\n\n{question}" for question in (QUESTION, "Is this one valid?")]
    routed = await router.route(parse_request(COMPLETIONS, json.dumps({"prompt": prompts}).encode()))
    assert not routed.reading.by_material


async def test_both_texts_go_in_one_forward_pass(router: Router) -> None:
    gate = Gate(router.classifier)
    assert (await router.route(asked())).reading.by_material
    assert gate.runs == [2]


async def test_of_an_ask_that_does_not_point_to_it_no_material_is_read(router: Router) -> None:
    gate = Gate(router.classifier)
    await router.route(asked("How do I cook rice and beans?"))
    assert gate.runs == [1]


async def test_it_is_told(router: Router) -> None:
    request = asked()
    routed = await router.route(request)
    description = describe(router, request, routed)
    assert description["ask"]["about"].startswith("The landlord keeps it.")
    assert "about" in [step["what"] for step in description["ask"]["steps"]]
    assert (description["text"]["by_material"], description["decision"]["threshold"]) == (True, 0.8)
    assert "by the ask and the material that it points to" in render(description)
    line = request_line(Record("id", "/v1/chat/completions", routed=routed))
    assert line["by_material"] is True
    assert "about" in [what for what, _, _ in line["ask_spans"]]
    assert "landlord" not in str(line)

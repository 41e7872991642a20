"""Requests that carry tools: their system prompt is kept, and they go to no adapter without tools."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.adapters.catalog import ModelCard, ServedModels
from pointsman.classify.classifier import Classifier
from pointsman.config.model import AdapterOptions, Config, Options, RoutingOptions
from pointsman.formats import CHAT, COMPLETIONS, MESSAGES, RESPONSES, ROUTED, Format
from pointsman.routing.decision import CategoryChoice, Decision, Reason
from pointsman.routing.edits import SystemPrompt
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.planner import Planner
from pointsman.routing.router import Router
from support.toy_config import BASE, category, config, entry

LABELS = ("computer science", "engineering", "health", "law", "other")
ANYTHING = ServedModels()
TOOL = {"type": "function", "function": {"name": "f"}}


def body(**fields: Any) -> bytes:
    turns = [{"role": "system", "content": "Theirs."}, {"role": "user", "content": "Fix my Python"}]
    return json.dumps({"model": "MoM", "messages": turns, **fields}).encode()


@pytest.mark.parametrize("api", ROUTED)
@pytest.mark.parametrize(
    ("fields", "carried"),
    [
        ({}, False),
        ({"tools": None, "functions": None, "tool_choice": None}, False),
        ({"tools": []}, False),
        ({"tools": [], "functions": {}}, False),
        ({"tools": [TOOL]}, True),
        ({"tools": [{"name": "f", "input_schema": {}}]}, True),
        ({"tools": [TOOL], "tool_choice": "none"}, True),
        ({"functions": [{"name": "f"}]}, True),
        ({"tool_choice": "auto"}, True),
        ({"tool_choice": {"type": "function", "function": {"name": "on the server"}}}, True),
        ({"tool_choice": {"type": "x" * 2000}}, True),
        ({"tool_choice": "none"}, False),
        ({"tool_choice": {"type": "none"}}, False),
        ({"tools": "a wrong type"}, True),
    ],
)
def test_a_request_carries_tools_where_it_names_one_or_chooses_one(
    api: Format, fields: dict[str, Any], carried: bool
) -> None:
    assert parse_request(api, body(**fields)).tools is carried


def with_tools(*categories: Any, routing: RoutingOptions | None = None, **fields: Any) -> Config:
    """`legal-lora` and `second-lora` have no tools."""
    tools = {"legal-lora": False, "second-lora": False, "third-lora": True}
    options = Options(adapters=AdapterOptions(tools=tools), routing=routing or RoutingOptions())
    return config(*categories, pointsman=options, **fields)


def decide(
    made: Config, name: str | None, *, tools: bool, now: ServedModels = ANYTHING, share: float = 0.0
) -> Decision:
    return Planner(made).decide(CategoryChoice(name, 0.9, Reason.CLASSIFIED), share, now, tools=tools)


@pytest.mark.parametrize(
    ("others", "model"),
    [
        pytest.param([], BASE, id="no other: the base model"),
        pytest.param([entry("second-lora", 0.5), entry("third-lora", 0.2)], "third-lora", id="the next that has tools"),
        pytest.param([entry("unmarked-lora", 0.5)], "unmarked-lora", id="one that is not marked"),
        pytest.param([entry(None, 0.9)], BASE, id="the base model as an entry"),
    ],
)
def test_an_adapter_without_tools_gives_way_in_a_request_that_carries_them(others: list[Any], model: str) -> None:
    made = with_tools(category("legal", entry("legal-lora", 1.0), *others), category("technical"))
    carrying = decide(made, "legal", tools=True)
    assert (carrying.model, carrying.reason) == (model, Reason.ADAPTER_WITHOUT_TOOLS)
    assert (carrying.category, carrying.base_model) == ("legal", BASE)
    plain = decide(made, "legal", tools=False)
    assert (plain.model, plain.reason) == ("legal-lora", Reason.CLASSIFIED)


def test_a_default_model_without_tools_gives_way_too() -> None:
    made = with_tools(category("legal"), default_model="legal-lora")
    assert decide(made, None, tools=True).model == BASE
    assert decide(made, None, tools=False).model == "legal-lora"


def test_a_share_of_the_traffic_gives_way_too() -> None:
    split = RoutingOptions(split="score")
    made = with_tools(category("legal", entry("legal-lora", 0.5), entry("third-lora", 0.5)), routing=split)
    assert decide(made, "legal", tools=True, share=0.1).model == "third-lora"
    assert decide(made, "legal", tools=True, share=0.9).reason is Reason.CLASSIFIED


def test_an_adapter_that_is_missing_is_still_told_as_missing() -> None:
    made = with_tools(category("legal", entry("third-lora", 1.0), entry("legal-lora", 0.5)))
    now = ServedModels({"a": (ModelCard(BASE), ModelCard("legal-lora", BASE))})
    decision = decide(made, "legal", tools=True, now=now)
    assert (decision.model, decision.reason) == (BASE, Reason.ADAPTER_MISSING)


@pytest.mark.parametrize(("tools", "mode"), [(True, "insert"), (False, "replace")])
def test_a_request_that_carries_tools_never_has_its_system_prompt_replaced(tools: bool, mode: Any) -> None:
    made = config(category("legal", system_prompt="Ours."))
    assert decide(made, "legal", tools=tools).edits.system_prompt == SystemPrompt("Ours.", mode)


@pytest.mark.parametrize(
    ("api", "fields", "prompt"),
    [
        (CHAT, {}, lambda sent: sent["messages"][0]["content"]),
        (RESPONSES, {"input": "Fix my Python", "instructions": "Theirs."}, lambda sent: sent["instructions"]),
        (MESSAGES, {"system": "Theirs."}, lambda sent: sent["system"]),
    ],
)
async def test_what_is_sent_keeps_the_clients_prompt_and_the_decision_says_so(
    classifier: Classifier, api: Format, fields: dict[str, Any], prompt: Any
) -> None:
    made = config(category("technical", system_prompt="Ours."), category("legal"))
    router = Router(made, classifier, ServedModels)
    carrying = await router.route(parse_request(api, body(tools=[TOOL], **fields)))
    plain = await router.route(parse_request(api, body(**fields)))
    assert prompt(json.loads(bytes(carrying.edited.body))) == "Ours.\n\nTheirs."
    assert prompt(json.loads(bytes(plain.edited.body))) == "Ours."
    assert (carrying.system_prompt, plain.system_prompt) == ("insert", "replace")


async def test_a_form_without_a_system_prompt_tells_of_none(classifier: Classifier) -> None:
    router = Router(config(category("technical", system_prompt="Ours."), category("legal")), classifier, ServedModels)
    routed = await router.route(
        parse_request(COMPLETIONS, json.dumps({"model": "MoM", "prompt": "Fix my Python"}).encode())
    )
    assert (routed.decision.category, routed.system_prompt) == ("technical", None)


async def test_a_client_that_names_an_adapter_gets_it_with_tools(classifier: Classifier) -> None:
    router = Router(with_tools(category("legal")), classifier, ServedModels)
    routed = await router.route(parse_request(CHAT, body(tools=[TOOL], model="legal-lora")))
    assert (routed.decision.model, routed.decision.reason) == ("legal-lora", Reason.EXPLICIT_MODEL)


async def test_a_request_that_is_decided_anew_still_carries_its_tools(classifier: Classifier) -> None:
    made = with_tools(category("technical", entry("third-lora", 1.0), entry("legal-lora", 0.5)), category("legal"))
    router = Router(made, classifier, ServedModels)
    asked = parse_request(CHAT, body(tools=[TOOL]))
    again = router.again(asked, await router.route(asked), ServedModels().without("a", "third-lora"))
    assert (again.decision.model, again.decision.reason) == (BASE, Reason.ADAPTER_MISSING)

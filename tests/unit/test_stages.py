"""The stages of a request, each alone: a value in, a value out."""

from __future__ import annotations

import ast
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import pytest

from pointsman.adapters.catalog import ServedModels
from pointsman.api.stages import IncomingRequest, ask, explicit, parse
from pointsman.config.client_keys import ClientKey, KeyScope
from pointsman.config.model import Model, RoutingOptions
from pointsman.errors import ModelNotAllowed
from pointsman.formats import CHAT
from pointsman.routing.conversations import NO_CONVERSATION, Conversation, ConversationLookup, ConversationState
from pointsman.routing.decision import CategoryChoice, Reason
from pointsman.routing.planner import Planner
from pointsman.routing.policy import Policy
from pointsman.routing.reading import AskClassification, choose_category
from pointsman.routing.recall import state_after
from pointsman.routing.selector import ModelSelection, ModelSelector
from support.playbook import Wire
from support.toy_config import BASE, A, B, config

T = TypeVar("T")

PACKAGE = Path(__file__).parents[2] / "daemon/pointsman"
ASKED = b'{"model":"auto","messages":[{"role":"user","content":"python"}]}'
NAMED = b'{"model":"base","messages":[]}'
LEGAL = ConversationState("legal", 0.5)


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it waits")


def exchange(*, is_json: bool = True, key: ClientKey | None = None, **headers: bytes) -> Any:
    made = mock.Mock(key=key, priority=None)
    made.request.is_json = is_json
    made.request.head.values = {name.replace("_", "-").encode(): value for name, value in headers.items()}
    return made


def parsed(wire: Wire, body: bytes, **request: Any) -> IncomingRequest:
    return at_once(parse(CHAT, wire.generations.current.backend, exchange(**request), body))


def test_of_a_body_that_names_a_model_only_the_model_is_read(wire: Wire) -> None:
    assert parsed(wire, NAMED) == IncomingRequest(NAMED, "base")


def test_of_a_body_to_be_routed_the_fields_are_read(wire: Wire) -> None:
    fields = parsed(wire, ASKED).fields
    assert fields is not None
    assert fields.messages is not None


def test_a_body_that_is_no_json_is_not_read(wire: Wire) -> None:
    assert parsed(wire, ASKED, is_json=False) == IncomingRequest(ASKED)


def test_a_body_whose_model_is_named_goes_as_it_came(wire: Wire) -> None:
    plan = explicit(CHAT, wire.generations.current.backend, exchange(), IncomingRequest(NAMED, "base"))
    assert (plan.model, plan.adapter) == ("base", False)
    assert plan.body is NAMED


def test_a_model_that_a_key_may_not_use_is_refused(wire: Wire) -> None:
    key = ClientKey("ann", b"", KeyScope(frozenset({"legal-lora"}), "legal-lora"))
    with pytest.raises(ModelNotAllowed):
        explicit(CHAT, wire.generations.current.backend, exchange(key=key), IncomingRequest(NAMED, "base"))


def test_the_ask_that_a_header_states_is_the_ask(wire: Wire) -> None:
    fields = parsed(wire, ASKED).fields
    assert fields is not None
    stated = exchange(x_pointsman_ask=b"my%20landlord")
    assert at_once(ask(CHAT, wire.generations.current.backend, stated, fields)).text == "my landlord"


@pytest.mark.parametrize(
    ("reading", "remembered", "expected"),
    [
        pytest.param(AskClassification("hi"), LEGAL, ("legal", Reason.STICKY), id="a follow-up that says nothing"),
        pytest.param(AskClassification("", failed=Reason.DEADLINE), None, ("medical", Reason.DEADLINE), id="fallback"),
        pytest.param(AskClassification("", failed=Reason.HELPER_TASK), LEGAL, (None, Reason.HELPER_TASK), id="helper"),
        pytest.param(AskClassification("", failed=Reason.AMBIGUOUS), LEGAL, (None, Reason.AMBIGUOUS), id="ambiguous"),
    ],
)
def test_without_a_classification_the_conversation_or_the_reason_decides(
    reading: AskClassification, remembered: ConversationState | None, expected: tuple[str | None, Reason]
) -> None:
    policy = Policy(config(fallback="medical"), ("computer science", "law", "health", "math", "other"))
    choice = choose_category(policy, reading, ConversationLookup(remembered, 0.5))
    assert (choice.category, choice.reason) == expected


def test_only_the_endpoint_with_the_stored_response_is_selected() -> None:
    selector = ModelSelector(Planner(config(endpoints=(A, B))), (A, B), RoutingOptions())
    selection = ModelSelection(CategoryChoice(None, None, Reason.NO_CATEGORY), at=B)
    served = ServedModels()
    assert selector.select(selection, served).endpoints == (B,)
    assert selector.select(ModelSelection(selection.choice), served).model == BASE


def test_it_is_also_where_no_model_of_the_config_is_preferred_there() -> None:
    planner = Planner(config(endpoints=(A, B), base=Model(preferred_endpoints=(A.name,))))
    selection = ModelSelection(CategoryChoice(None, None, Reason.NO_CATEGORY), at=B)
    assert ModelSelector(planner, (A, B), RoutingOptions()).select(selection, ServedModels()).endpoints == (B,)


def test_what_is_not_read_is_remembered_in_no_conversation() -> None:
    selection = ModelSelection(CategoryChoice(None, None, Reason.HELPER_TASK))
    reading = AskClassification("", failed=Reason.HELPER_TASK)
    assert state_after(selection, reading, NO_CONVERSATION) is None
    first = Conversation(NO_CONVERSATION.history, ConversationLookup(None, 0.25))
    assert state_after(selection, reading, first) == ConversationState(None, 0.25, None, unread=True)


def test_the_table_of_stages_names_calls_that_exist() -> None:
    page = (PACKAGE.parents[1] / "docs/architecture.md").read_text("utf-8")
    table = page.partition("## The way of a request")[2].partition("## ")[0]
    calls = re.findall(r"^\| [\w ?]+ \| `([\w.]+)`", table, re.MULTILINE)
    assert len(calls) == 14
    assert [call for call in calls if call not in defined()] == []


def defined() -> set[str]:
    """Return the names of all functions, and of methods with their class."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.parse(file.read_text("utf-8")).body:
            members = node.body if isinstance(node, ast.ClassDef) else [node]
            prefix = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
            found |= {prefix + one.name for one in members if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
    return found

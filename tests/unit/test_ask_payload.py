"""The ask is found in a message that is one JSON value."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.routing.ask.names import name_of
from pointsman.routing.ask.payload import ask_in

ASK = "How do I moor a ferry?"
OTHER = "Why does the tide turn?"
NINE = "The ferry leaves at nine."
TURN = {"role": "user", "content": ASK}
ANSWER = {"role": "assistant", "content": "With a rope of hemp."}


def found(value: Any) -> str | None:
    return ask_in(json.dumps(value), name_of)


def nested(value: Any, depth: int) -> Any:
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("key", ["text", "content", "body", "value", "data", "parts", "raw", "plain", "raw_text", "1"])
def test_a_member_whose_name_says_nothing_is_what_the_object_around_it_is(key: str) -> None:
    assert found({"question": {key: NINE}, "input": {key: ASK}}) == NINE


@pytest.mark.parametrize(
    ("value", "ask"),
    [
        pytest.param({"question": NINE}, NINE, id="a name of an ask"),
        pytest.param({"question": f" {NINE}\n"}, NINE, id="space around it"),
        pytest.param({"question": "Ferry", "input": NINE}, NINE, id="one word is none"),
        pytest.param({"input": OTHER, "question": ASK, "task": NINE}, ASK, id="the highest rank of several"),
        pytest.param({"question": ASK, "query": OTHER}, ASK, id="the first of several of one rank"),
        pytest.param({"input": ASK, "entrada": OTHER}, ASK, id="the first of several of the least rank"),
        pytest.param({"question": "Fix ```x = 1``` for me"}, "Fix ```x = 1``` for me", id="code within an ask"),
        pytest.param({"question_zzz": NINE}, NINE, id="a name with another word"),
        pytest.param({f"ask {'x' * 54}({'y' * 60})": NINE}, NINE, id="the longest name"),
        pytest.param({f"ask {'x' * 55}({'y' * 60})": NINE}, None, id="a longer one"),
        pytest.param({"question (" + "as typed by the customer, " * 2 + "...)": NINE}, NINE, id="a long name"),
        pytest.param({"question": {"lines": NINE}}, None, id="a member of another name that asks nothing"),
        pytest.param({"event": {"kind": "x y", "zzz": ASK}}, ASK, id="the only one that asks"),
        pytest.param({"zzz": ASK, "yyy": OTHER}, None, id="two that ask without a name"),
        pytest.param({"zzz": NINE}, None, id="none that asks"),
        pytest.param({"context": ASK}, ASK, id="material that asks where nothing else does"),
        pytest.param({"context": ASK, "zzz": OTHER}, OTHER, id="what has no name before material"),
        pytest.param({"context": NINE}, None, id="material that asks nothing"),
        pytest.param({"context": {"zzz": ASK}}, ASK, id="what is within material, as the material"),
        pytest.param({"answers": [{"zzz": ASK}]}, ASK, id="what is within answers to a form"),
        pytest.param({"user": {"zzz": ASK}}, ASK, id="what is within the person's part"),
        pytest.param({"user": {"zzz": NINE}}, None, id="the person's name"),
        pytest.param({"answer": NINE, "question": ASK}, ASK, id="an answer"),
        pytest.param({"answer": ASK}, None, id="an answer that asks"),
        pytest.param([], None, id="no item"),
        pytest.param(5, None, id="a number"),
        pytest.param(ASK, None, id="a text"),
        pytest.param({"context": 5, "count": 5, "question": None, "zzz": ASK}, ASK, id="members that are no text"),
    ],
)
def test_the_name_of_a_member_tells_what_it_is(value: Any, ask: str | None) -> None:
    assert found(value) == ask


@pytest.mark.parametrize(
    ("value", "ask"),
    [
        pytest.param([TURN], ASK, id="one turn"),
        pytest.param([{"role": "user", "content": OTHER}, ANSWER, TURN, ANSWER], ASK, id="the user's last turn"),
        pytest.param([{"role": "user", "content": [{"type": "text", "text": NINE}]}], NINE, id="a turn of parts"),
        pytest.param({"messages": [TURN]}, ASK, id="turns under a name"),
        pytest.param({"history": [TURN]}, ASK, id="turns under the name of material"),
        pytest.param({"history": [ANSWER, TURN]}, ASK, id="turns that the model begins"),
        pytest.param({"history": [{"date": "today"}, TURN]}, ASK, id="turns behind something else"),
        pytest.param({"history": [{"zzz": NINE}]}, None, id="what is no turn under the name of material"),
        pytest.param([{"speaker": "caller", "text": NINE}], NINE, id="a turn whose speaker has another name"),
        pytest.param([{"author": {"type": "user"}, "body": NINE}], NINE, id="a turn whose author is an object"),
        pytest.param([{"from": "agent", "text": OTHER}, {"from": "user", "text": NINE}], NINE, id="the user's of two"),
        pytest.param({"history": []}, None, id="no turns"),
        pytest.param({"history": [TURN], "issue": NINE}, ASK, id="a turn over a name of less rank"),
        pytest.param({"history": [TURN], "question": NINE}, NINE, id="a name of more rank over a turn"),
        pytest.param({"request": NINE, "history": [TURN]}, NINE, id="a name of the same rank before a turn"),
        pytest.param({"history": [TURN], "request": NINE}, ASK, id="a turn before a name of the same rank"),
        pytest.param([{"role": "user", "zzz": ASK}], ASK, id="a person of a list"),
        pytest.param([{"content": ASK}], ASK, id="content without a role"),
        pytest.param([ANSWER, {"zzz": ASK}], ASK, id="turns of the model alone"),
    ],
)
def test_of_turns_the_users_last_has_the_ask(value: Any, ask: str | None) -> None:
    assert found(value) == ask


@pytest.mark.parametrize(
    ("value", "ask"),
    [
        pytest.param({"question": [OTHER, ASK, NINE]}, NINE, id="texts"),
        pytest.param({"question": [5, NINE]}, NINE, id="a text behind another value"),
        pytest.param({"question": [NINE, {"zzz": 5}]}, NINE, id="a text before another value"),
        pytest.param({"question": []}, None, id="nothing"),
        pytest.param([ASK, NINE], ASK, id="texts without a name"),
    ],
)
def test_of_texts_under_a_name_the_last_counts(value: Any, ask: str | None) -> None:
    assert found(value) == ask


def test_only_the_first_hundred_members_and_items_are_looked_at() -> None:
    for count, ask in ((99, ASK), (100, None)):
        assert found({f"n{number}": number for number in range(count)} | {"question": ASK}) == ask
        assert found([*range(count), ASK]) == ask


def test_what_is_more_than_ten_levels_deep_is_not_looked_at() -> None:
    assert found(nested({"zzz": ASK}, 10)) == ASK
    assert found(nested({"zzz": ASK}, 11)) is None


def test_a_longer_text_is_not_read() -> None:
    value = json.dumps({"question": ASK})
    padded = value[:-1] + " " * (32 * 1024 - len(value)) + "}"
    assert ask_in(padded, name_of) == ASK
    assert ask_in(f"{padded[:-1]} }}", name_of) is None


@pytest.mark.parametrize(
    ("text", "ask"),
    [
        pytest.param('```json\n{"question": "%s"}\n```', NINE, id="a fence"),
        pytest.param('The payload:\n```\n{"question": "%s"}\n```\n', NINE, id="words before a fence"),
        pytest.param('How do I read this?\n```\n{"question": "%s"}\n```', None, id="a question about a fence"),
        pytest.param('```\n{"a": 1}\n```\n```\n{"question": "%s"}\n```', None, id="two fences"),
        pytest.param('```\n{"question": "%s"}\n``` (end)', None, id="words behind a fence"),
        pytest.param('{"question": "%s"', None, id="no end"),
        pytest.param('{"question": "%s"}\nSail', None, id="words behind"),
        pytest.param('  {"question": "%s"}\n', NINE, id="space around"),
        pytest.param("[" * 5000 + '"%s"' + "]" * 5000, None, id="endless nesting"),
        pytest.param('"%s"', None, id="a quotation"),
        pytest.param(f'```\n"{ASK}"\n```', None, id="a quotation in a fence"),
        pytest.param(" ", None, id="nothing"),
    ],
)
def test_the_message_is_one_value_be_it_in_a_fence(text: str, ask: str | None) -> None:
    assert ask_in(text.replace("%s", NINE), name_of) == ask

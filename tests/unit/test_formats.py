"""Reading request bodies, and editing them without touching anything else."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from pointsman.errors import RequestError
from pointsman.formats import CHAT, COMPLETIONS, MESSAGES, RESPONSES, ROUTED, Format
from pointsman.routing import message_list, steps
from pointsman.routing.ask import Ask, AskFinder, AskKind
from pointsman.routing.body import BodyFields, fields_at_once, model_of, read_fields
from pointsman.routing.edits import Edits, ReasoningEdit, SystemPrompt, sides, with_model
from pointsman.routing.format_edits import inside
from pointsman.routing.parsed_request import ParsedRequest, format_of, parse_request, read_request
from pointsman.routing.response_storage import storage_of
from pointsman.routing.steps import Steps, finish

THINK = ReasoningEdit("chat_template_kwargs", "enable_thinking", "medium")
NO_THINK = ReasoningEdit("chat_template_kwargs", "enable_thinking", None)
EFFORT = ReasoningEdit("reasoning_effort", "reasoning_effort", "high")
NO_EFFORT = ReasoningEdit("reasoning_effort", "reasoning_effort", None)
REPLACE = SystemPrompt("Ours.", "replace")
INSERT = SystemPrompt("Ours.", "insert")


def fields(body: bytes) -> BodyFields:
    return finish(read_fields(body))


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def system(content: Any, role: str = "system") -> dict[str, Any]:
    return {"role": role, "content": content}


def request(api: Format = CHAT, **fields: Any) -> ParsedRequest:
    return parse_request(api, json.dumps(fields).encode())


def chat(*messages: Any, **fields: Any) -> ParsedRequest:
    return request(messages=list(messages), **fields)


def edited(asked: ParsedRequest, **edits: Any) -> Any:
    return json.loads(bytes(asked.apply(Edits(**edits)).body))


# --- the body and its model ------------------------------------------------------------------------------------


def test_a_body_with_another_model_keeps_all_else_as_it_came() -> None:
    assert with_model(fields(b'{"a": 1.0, "model": "x","b":[ 1 ]}'), "y") == b'{"a": 1.0, "model": "y","b":[ 1 ]}'
    assert with_model(fields(b'{ "a" : 1}'), "y") == b'{"model":"y", "a" : 1}'
    assert with_model(fields(b"{ }"), "y") == b'{"model":"y" }'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'"text"', id="a string"),
        pytest.param(b'{"model":"MoM"', id="cut off"),
        pytest.param(b'{"model":"MoM"} x', id="more after it"),
        pytest.param(b'{"model":"MoM","messages":[{"content":"\xff"}]}', id="not UTF-8, deep inside"),
        pytest.param(b'{"model":"\xc3\x28"}', id="not UTF-8, in the model"),
        pytest.param(b'{"a":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}", id="nested too deeply"),
    ],
)
def test_what_is_no_json_object_is_the_clients_fault(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(CHAT, body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


@pytest.mark.parametrize("value", ["5", "true", "[]", '["MoM"]', "{}", "1e999", "NaN", r'"\udc00"'])
def test_a_model_that_is_no_string_is_the_clients_fault(value: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(CHAT, b'{"model":%s}' % value.encode())
    assert (caught.value.status, caught.value.param) == (400, "model")


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":""}'])
def test_no_model_null_and_an_empty_one_all_ask_for_none(body: bytes) -> None:
    assert parse_request(CHAT, body).model is None


def test_names_and_values_are_read_through_their_escapes() -> None:
    body = rb'{"mod\u0065l":"M\u006fM","messages":[{"role":"user","content":"\ud83d\ude00 \u00e9"}]}'
    asked = parse_request(CHAT, body)
    assert (asked.model, asked.text) == ("MoM", "😀 é")


def test_of_duplicate_keys_the_last_counts() -> None:
    asked = parse_request(CHAT, b'{"model":"a","model":"b"}')
    assert asked.model == "b"


@pytest.mark.parametrize(
    ("body", "model"),
    [(b'{"model":"a"}', "a"), (b"{}", None), (b'{"model":5}', None), (rb'{"model":"\ud800"}', None)],
)
def test_model_of_never_fails(body: bytes, model: str | None) -> None:
    assert model_of(fields(body)) == model


@pytest.mark.parametrize(
    ("body", "api"),
    [(b'{"messages":[]}', CHAT), (b'{"prompt":""}', COMPLETIONS), (b'{"input":""}', RESPONSES)],
)
def test_the_format_of_a_body_is_known_by_its_fields(body: bytes, api: Format) -> None:
    assert format_of(fields(body)) is api


# --- the text --------------------------------------------------------------------------------------------------

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        pytest.param([user("first"), assistant("no"), user("last")], "last", id="the last user message"),
        pytest.param([system("no"), user("yes"), assistant("no"), system("no")], "yes", id="whatever comes after it"),
        pytest.param([user([{"type": "text", "text": "a"}, IMAGE, {"type": "text", "text": "b"}])], "a b", id="parts"),
        pytest.param([user(["a", "b"])], "a b", id="parts that are strings"),
        pytest.param([user([{"type": "text", "text": ""}, {"type": "text", "text": "a"}])], "a", id="an empty part"),
        pytest.param([user("text"), user([IMAGE])], "text", id="the last that has text"),
        pytest.param([system("a"), assistant("b")], "", id="nothing where there is no user message"),
        pytest.param([system("a"), user([IMAGE])], "", id="a system prompt never stands in"),
        pytest.param([user([IMAGE])], "", id="no text at all"),
        pytest.param([], "", id="no messages"),
    ],
)
def test_the_text_of_a_chat(messages: list[Any], text: str) -> None:
    assert chat(*messages).text == text


@pytest.mark.parametrize("messages", [None, 5, {}, [None], [5], [[]], ["text"], [{}], [{"role": {}, "content": {}}]])
def test_messages_of_a_wrong_type_are_vllms_to_refuse(messages: Any) -> None:
    asked = request(messages=messages, model="MoM")
    assert asked.text == ""
    assert edited(asked, model="base", reasoning=THINK)["messages"] == messages


@pytest.mark.parametrize("content", [None, 5, True, {}, [5, None, True, [5], {}, {"text": 5}], {"text": "no"}])
def test_content_of_a_wrong_type_has_no_text(content: Any) -> None:
    assert chat(user("first"), user(content)).text == "first"


@pytest.mark.parametrize("role", [None, 5, ["user"], {"user": 1}])
def test_a_role_of_a_wrong_type_is_nobodys(role: Any) -> None:
    message = {"role": role, "content": "text"}
    asked = chat(message)
    assert asked.text == ""
    assert edited(asked, system_prompt=REPLACE)["messages"] == [system("Ours."), message]


@pytest.mark.parametrize(
    ("prompt", "text"),
    [("one", "one"), (["one", "two"], "one"), ([1, 2, 3], ""), ([[1, 2], [3]], ""), (None, ""), ({}, "")],
)
def test_the_text_of_a_completion_is_its_prompt(prompt: Any, text: str) -> None:
    assert request(COMPLETIONS, prompt=prompt).text == text


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("one", "one"),
        ([user("one"), assistant("no"), user([{"type": "input_text", "text": "two"}])], "two"),
        ([{"type": "message", "role": "user", "content": "one"}, {"type": "function_call", "name": "f"}], "one"),
        (None, ""),
    ],
)
def test_the_text_of_a_response_is_its_input(given: Any, text: str) -> None:
    assert request(RESPONSES, input=given, messages=[user("no")]).text == text


TOOL_RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "no"}]}


def test_a_tools_result_in_anthropics_form_is_not_the_users_text() -> None:
    tool_use = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    asked = request(MESSAGES, messages=[user("question"), assistant([tool_use]), user([TOOL_RESULT])])
    assert asked.text == "question"


def test_text_beside_a_tools_result_is_the_users() -> None:
    asked = request(MESSAGES, messages=[user("first"), user([TOOL_RESULT, {"type": "text", "text": "second"}])])
    assert asked.text == "second"


def test_the_asks_of_further_prompts_are_others() -> None:
    asked = request(COMPLETIONS, prompt=["one", "two", "one", "three"])
    assert (asked.text, asked.ask.others, asked.prompts) == ("one", ("two", "three"), 3)


def test_of_many_prompts_eight_are_read() -> None:
    assert request(COMPLETIONS, prompt=[str(number) for number in range(100)]).prompts == 8


REMINDER = "<system-reminder>\nRead the rules first.\n</system-reminder>"
LABELS = "Question: a\n" * 500


@pytest.mark.parametrize(
    ("api", "fields", "pauses"),
    [
        (CHAT, {"messages": [user(REMINDER)] * 30}, 30),
        (COMPLETIONS, {"prompt": [str(n) for n in range(8)]}, 8),
        (CHAT, {"messages": [user(LABELS)]}, 400),
        (COMPLETIONS, {"prompt": LABELS}, 400),
    ],
)
def test_others_run_between_the_searches_for_an_ask(
    api: Format, fields: dict[str, Any], pauses: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes microseconds or milliseconds, and that in a long message has steps of its own."""
    monkeypatch.setattr(steps, "perf_counter", itertools.count().__next__)
    read = finish(read_fields(json.dumps(fields).encode()))
    assert sum(1 for _ in read_request(api, read, AskFinder())) >= pauses


class Counting(AskFinder):
    searches = 0

    def search(self, parts: Sequence[str], system: str = "") -> Steps[Ask]:
        self.searches += 1
        return super().search(parts, system)


MATERIAL = "Context:\n" + "a: b\n" * 500


def test_of_all_messages_of_a_request_four_mebibytes_are_looked_at_in_which_a_line_counts_as_64() -> None:
    """That is more than a model reads, and a second of work at most."""
    asked, material = user("What is a tort?"), [user(f"{MATERIAL}{number}") for number in range(1_000)]
    finder = Counting()
    read = parse_request(CHAT, json.dumps({"messages": [asked, *material]}).encode(), finder)
    assert 110 < finder.searches < 130
    assert (read.text, read.asked) == (f"{MATERIAL}999", None)
    assert chat(asked, *material[:100]).text == "What is a tort?"
    assert chat(asked, *[user(REMINDER)] * 4_000).text == "What is a tort?"


def test_the_beginning_of_the_system_prompt_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be as long as a body, and messages without text may be thousands."""
    read: list[object] = []

    def beginning_of(value: Any) -> Steps[str]:
        read.append(value)
        yield
        return ""

    monkeypatch.setattr(message_list, "beginning_of", beginning_of)
    chat(system([{"type": "text", "text": "Be brief."}] * 10), *[user("")] * 50)
    assert len(read) == 1


def test_a_message_that_only_a_harness_wrote_leads_back_to_the_ask_before() -> None:
    asked = request(MESSAGES, messages=[user("question"), assistant("one moment"), user(REMINDER)])
    assert asked.text == "question"
    assert asked.messages is not None
    assert asked.asked is asked.messages[0]
    assert chat(user(REMINDER)).text == REMINDER


def test_a_system_message_behind_all_turns_may_set_a_helper_task() -> None:
    """As may one before them."""
    asked, answered = user("What is a tort?"), assistant("A wrong.")
    task = "[Pause your roleplay. Summarize what has happened in the chat so far, in 200 words or less.]"
    assert chat(system("Be brief."), asked, answered, system(task)).ask.kind is AskKind.HELPER_TASK
    assert chat(system(task), asked).ask.kind is AskKind.HELPER_TASK
    assert chat(system("Be brief."), asked, system("Answer as Mira, who is witty.")).ask.text == "What is a tort?"


def test_a_prompt_of_nothing_but_a_harness_stays_whole() -> None:
    """Nothing was said before it."""
    assert request(COMPLETIONS, prompt=REMINDER).ask.text == REMINDER


def test_an_ask_that_the_client_states_wins_over_all() -> None:
    body = json.dumps({"messages": [user("question")], "ask_here": "stated"}).encode()
    read = finish(read_fields(body, ("model", "messages", "ask_here")))
    assert finish(read_request(CHAT, read)).text == "question"
    assert finish(read_request(CHAT, read, AskFinder(body_field="ask_here"))).ask == Ask("stated", AskKind.STATED)
    assert finish(read_request(CHAT, read, AskFinder(body_field="ask_here"), "in the header")).text == "in the header"


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        ("ask", "What is a tort?"),
        ("last_user", f"{REMINDER}\n\nWhat is a tort?"),
        ("all", f"Be brief. first no {REMINDER}\n\nWhat is a tort?"),
    ],
)
def test_the_mode_says_what_is_read(mode: Any, text: str) -> None:
    turns = [system("Be brief."), user("first"), assistant("no"), user(f"{REMINDER}\n\nWhat is a tort?")]
    body = json.dumps({"messages": turns}).encode()
    assert parse_request(CHAT, body, AskFinder(mode)).text == text


# --- edits -----------------------------------------------------------------------------------------------------

# Everything that a decode and encode would spell another way: numbers, escapes, spaces inside values, key order.
ODD = (
    rb'{"z":1.50e0,"model":"MoM","a":[1.0, 1E5,-0,  0.1000000000000000055511151231257827],"vllm_xargs":{"b":1,"a":2},'
    rb'"big":123456789012345678901234567890,"messages":[{"role":"user","content":"\u00e9\/ \ud83d\ude00 \u0041\n"}],'
    rb'"dup":{"k":1,"k":2},"n":null,"seed":1e400}'
)


def test_without_edits_the_very_same_bytes_leave() -> None:
    body = b' \n{"model" : "MoM", "model":"auto" ,"messages": [ ] }\r\n'
    result = parse_request(CHAT, body).apply(Edits())
    assert result.body is body
    assert result.changed == ()


def test_an_edit_to_what_the_client_asked_for_is_none() -> None:
    asked = chat(user("a"), model="base")
    assert asked.apply(Edits(model="base")).body is asked.body


def test_only_the_model_differs_after_an_edit_of_the_model() -> None:
    result = parse_request(CHAT, ODD).apply(Edits(model="technical-lora"))
    assert result.body == ODD.replace(b'"MoM"', b'"technical-lora"')
    assert result.changed == ("model",)


@pytest.mark.parametrize("api", ROUTED)
def test_other_fields_and_values_survive_every_edit(api: Format) -> None:
    sent = bytes(parse_request(api, ODD).apply(Edits(model="x", reasoning=THINK, system_prompt=REPLACE)).body)
    for value in (b'"z":1.50e0,"model":"x","a":[1.0, 1E5,-0,  0.1000000000000000055511151231257827]', b'"seed":1e400'):
        assert value in sent
    assert rb'{"role":"user","content":"\u00e9\/ \ud83d\ude00 \u0041\n"}' in sent
    assert rb'"dup":{"k":1,"k":2}' in sent


@pytest.mark.parametrize("body", [b"{}", b'{"model":null}', b'{"model":""}'])
def test_a_missing_model_is_filled_in(body: bytes) -> None:
    assert parse_request(CHAT, body).apply(Edits(model="base")).body == b'{"model":"base"}'


def test_of_duplicate_keys_the_last_is_edited() -> None:
    """vLLM reads the last one, too."""
    body = b'{"model":"a","top_k":1,"model":"MoM","top_k":2}'
    assert parse_request(CHAT, body).apply(Edits(model="x")).body == body.replace(b"MoM", b"x")


@pytest.mark.parametrize("padding", [0, 5000])
@pytest.mark.parametrize("before", [b'"user":"MoM",', b'"messages":["MoM"],', b""])
@pytest.mark.parametrize("behind", [b',"user":"MoM"', b',"stop":["MoM"]', b""])
def test_a_value_is_edited_where_its_field_has_it_and_nowhere_else(before: bytes, behind: bytes, padding: int) -> None:
    body = b'{%b"model":"MoM"%b,"n":"%b"}' % (before, behind, b"x" * padding)
    edited = parse_request(CHAT, body).apply(Edits(model="x"))
    assert edited.body == body.replace(b'"model":"MoM"', b'"model":"x"')


def test_a_change_has_both_sides() -> None:
    asked = chat(system("a"), user("b"), model="MoM", top_k=5)
    changes = asked.apply(Edits(model="x", reasoning=THINK, system_prompt=REPLACE)).changes
    before, after = zip(*[sides(asked.fields, change) for change in changes], strict=True)
    user_too = b'{"role": "user", "content": "b"}]'
    assert [one.field for one in changes] == ["model", "chat_template_kwargs", "messages"]
    assert [old and b"".join(old) for old in before] == [
        b'"MoM"',
        None,
        b'[{"role": "system", "content": "a"}, %b' % user_too,
    ]
    assert [b"".join(new) for new in after] == [
        b'"x"',
        b'{"enable_thinking":true}',
        b'[{"role": "system", "content": "Ours."}, %b' % user_too,
    ]


# --- reasoning -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES])
@pytest.mark.parametrize(
    ("kwargs", "reasoning", "expected"),
    [
        pytest.param({}, THINK, {"enable_thinking": True}, id="on"),
        pytest.param({}, NO_THINK, {"enable_thinking": False}, id="off is said"),
        pytest.param({"b": 1}, THINK, {"b": 1, "enable_thinking": True}, id="merged"),
        pytest.param({"enable_thinking": False}, THINK, {"enable_thinking": False}, id="the client's own stays"),
        pytest.param({"enable_thinking": True}, NO_THINK, {"enable_thinking": True}, id="so when off"),
        pytest.param({"enable_thinking": None}, THINK, {"enable_thinking": True}, id="null is not set"),
        pytest.param(None, THINK, {"enable_thinking": True}, id="null kwargs"),
        pytest.param({"b": "x" * 65_000}, THINK, {"b": "x" * 65_000, "enable_thinking": True}, id="almost 64 KiB"),
        pytest.param([1], THINK, [1], id="a wrong type is vLLM's to refuse"),
        pytest.param(0, THINK, 0, id="so is a number"),
    ],
)
def test_reasoning_in_chat_template_kwargs(api: Format, kwargs: Any, reasoning: ReasoningEdit, expected: Any) -> None:
    given = request(api, chat_template_kwargs=kwargs)
    assert edited(given, reasoning=reasoning)["chat_template_kwargs"] == expected


def test_kwargs_are_merged_without_respelling_them() -> None:
    asked = parse_request(CHAT, rb'{"chat_template_kwargs":{"a":1.50e0,"b":"\u00e9"}}')
    result = asked.apply(Edits(reasoning=THINK))
    assert result.body == rb'{"chat_template_kwargs":{"a":1.50e0,"b":"\u00e9","enable_thinking":true}}'
    assert result.changed == ("chat_template_kwargs",)


def test_a_fault_in_the_kwargs_of_a_long_body_is_vllms_to_report() -> None:
    asked = parse_request(CHAT, b'{"chat_template_kwargs":{"a" 1},"n":"%b"}' % (b"x" * 70_000))
    assert asked.apply(Edits(reasoning=THINK)).body == asked.body


@pytest.mark.parametrize(
    ("fields", "reasoning", "expected"),
    [
        ({}, EFFORT, {"reasoning_effort": "high"}),
        ({"reasoning_effort": None}, EFFORT, {"reasoning_effort": "high"}),
        ({"reasoning_effort": "low"}, EFFORT, {"reasoning_effort": "low"}),
        ({}, NO_EFFORT, {}),
        ({"reasoning_effort": "low"}, NO_EFFORT, {"reasoning_effort": "low"}),
    ],
)
def test_effort_is_set_unless_the_client_did_and_left_out_when_off(
    fields: dict[str, Any], reasoning: ReasoningEdit, expected: Any
) -> None:
    assert edited(request(**fields), reasoning=reasoning) == expected


@pytest.mark.parametrize(
    ("fields", "reasoning", "expected"),
    [
        ({}, EFFORT, {"reasoning": {"effort": "high"}}),
        ({"reasoning": {"summary": "auto"}}, EFFORT, {"reasoning": {"summary": "auto", "effort": "high"}}),
        ({"reasoning": {"effort": "low"}}, EFFORT, {"reasoning": {"effort": "low"}}),
        ({"reasoning": {"summary": "auto"}}, NO_EFFORT, {"reasoning": {"summary": "auto"}}),
    ],
)
def test_the_responses_api_has_its_effort_inside_reasoning(
    fields: dict[str, Any], reasoning: ReasoningEdit, expected: Any
) -> None:
    assert edited(request(RESPONSES, **fields), reasoning=reasoning) == expected


@pytest.mark.parametrize(("api", "reasoning"), [(COMPLETIONS, THINK), (COMPLETIONS, EFFORT), (MESSAGES, EFFORT)])
def test_a_form_without_a_place_for_reasoning_is_not_edited(api: Format, reasoning: ReasoningEdit) -> None:
    asked = request(api, prompt="a", messages=[user("a")])
    assert asked.apply(Edits(reasoning=reasoning)).body is asked.body


@pytest.mark.parametrize(
    ("asked", "reasoning", "sent"),
    [
        pytest.param(request(), THINK, True, id="set"),
        pytest.param(request(), NO_THINK, False, id="turned off"),
        pytest.param(request(chat_template_kwargs={"enable_thinking": True}), NO_THINK, True, id="the client's own"),
        pytest.param(request(chat_template_kwargs={"enable_thinking": False}), THINK, False, id="the client's own off"),
        pytest.param(request(chat_template_kwargs={"enable_thinking": "yes"}), THINK, None, id="nobody knows"),
        pytest.param(request(chat_template_kwargs=[1]), THINK, None, id="a wrong type"),
        pytest.param(request(), EFFORT, True, id="effort"),
        pytest.param(request(), NO_EFFORT, None, id="an effort cannot be turned off"),
        pytest.param(request(reasoning_effort="low"), NO_EFFORT, True, id="the client's own effort"),
        pytest.param(request(reasoning_effort="none"), EFFORT, False, id="the client's own effort off"),
        pytest.param(request(RESPONSES, reasoning={"effort": "low"}), NO_EFFORT, True, id="inside reasoning"),
        pytest.param(request(RESPONSES, reasoning={"summary": "auto"}), NO_EFFORT, None, id="none inside"),
        pytest.param(request(MESSAGES), EFFORT, None, id="a form without a field"),
        pytest.param(
            request(COMPLETIONS, prompt="a", chat_template_kwargs={"enable_thinking": True}),
            THINK,
            None,
            id="completion",
        ),
    ],
)
def test_the_reasoning_that_is_told_is_what_is_sent(
    asked: ParsedRequest, reasoning: ReasoningEdit, sent: bool | None
) -> None:
    assert asked.apply(Edits(model="x", reasoning=reasoning)).reasoning is sent


# --- system prompt ---------------------------------------------------------------------------------------------

PARTS = [{"type": "text", "text": "Theirs.", "cache_control": {"type": "ephemeral"}}]


@pytest.mark.parametrize(
    ("messages", "prompt", "expected"),
    [
        pytest.param([user("a")], REPLACE, [system("Ours."), user("a")], id="prepended"),
        pytest.param([user("a")], INSERT, [system("Ours."), user("a")], id="prepended when inserting"),
        pytest.param([system("Theirs."), user("a")], REPLACE, [system("Ours."), user("a")], id="replaced"),
        pytest.param([system("Theirs."), user("a")], INSERT, [system("Ours.\n\nTheirs."), user("a")], id="inserted"),
        pytest.param(
            [system("Theirs.", "developer")], REPLACE, [system("Ours.", "developer")], id="developer is system"
        ),
        pytest.param([system(PARTS)], REPLACE, [system("Ours.")], id="parts are replaced"),
        pytest.param(
            [system(PARTS)], INSERT, [system([{"type": "text", "text": "Ours.\n\n"}, *PARTS])], id="before their parts"
        ),
        pytest.param([system("")], INSERT, [system("Ours.")], id="before nothing"),
        pytest.param([system(None)], INSERT, [system("Ours.")], id="before null"),
        pytest.param([], REPLACE, [], id="no messages"),
        pytest.param(
            [user("a"), system("Theirs.")], REPLACE, [system("Ours."), user("a"), system("Theirs.")], id="only at first"
        ),
        pytest.param(
            [system("Theirs.") | {"name": "n"}], REPLACE, [system("Ours.") | {"name": "n"}], id="other fields stay"
        ),
    ],
)
def test_the_system_prompt_of_a_chat(messages: list[Any], prompt: SystemPrompt, expected: list[Any]) -> None:
    assert edited(chat(*messages), system_prompt=prompt)["messages"] == expected


@pytest.mark.parametrize("word", ["system", "developer", "user", "Hi"])
def test_a_string_among_the_messages_is_no_message_with_that_role(word: str) -> None:
    asked = chat(word)
    assert asked.text == ""
    assert edited(asked, system_prompt=REPLACE)["messages"] == [system("Ours."), word]


@pytest.mark.parametrize(
    ("api", "field"), [(RESPONSES, "instructions"), (MESSAGES, "system")], ids=["responses", "messages"]
)
@pytest.mark.parametrize(
    ("theirs", "prompt", "expected"),
    [
        (None, REPLACE, "Ours."),
        ("Theirs.", REPLACE, "Ours."),
        ("Theirs.", INSERT, "Ours.\n\nTheirs."),
        (PARTS, INSERT, [{"type": "text", "text": "Ours.\n\n"}, *PARTS]),
    ],
)
def test_the_system_prompt_of_forms_that_have_a_field_for_it(
    api: Format, field: str, theirs: Any, prompt: SystemPrompt, expected: Any
) -> None:
    asked = request(api, **{field: theirs}, messages=[user("a")])
    assert edited(asked, system_prompt=prompt) == {field: expected, "messages": [user("a")]}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, (None, True)),
        ({"previous_response_id": "resp_1", "store": True}, ("resp_1", True)),
        ({"previous_response_id": None, "store": False}, (None, False)),
        ({"previous_response_id": 7, "store": "no"}, (None, True)),  # vLLM reports the number
        ({"request_id": "mine", "store": False, "previous_response_id": "resp_1"}, ("resp_1", False)),
    ],
)
def test_a_request_says_which_stored_response_it_continues_and_whether_its_own_is_stored(
    asked: dict[str, Any], expected: tuple[str | None, bool]
) -> None:
    assert storage_of(finish(read_fields(json.dumps(asked).encode(), RESPONSES.more_fields))) == expected


def test_a_completion_has_no_place_for_a_system_prompt() -> None:
    asked = request(COMPLETIONS, prompt="a")
    assert asked.apply(Edits(system_prompt=REPLACE)).body is asked.body


def test_a_body_nested_some_hundred_deep_passes() -> None:
    depth = sys.getrecursionlimit() // 4
    body = b'{"model":"MoM","tools":' + b"[" * depth + b"]" * depth + b"}"
    assert parse_request(CHAT, body).apply(Edits(model="x")).body == body.replace(b"MoM", b"x")


def test_each_format_has_its_path() -> None:
    assert [form.path for form in (CHAT, COMPLETIONS, RESPONSES, MESSAGES)] == [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
    ]
    assert {form.path for form in ROUTED} >= {"/v1/chat/completions", "/v1/messages"}


@pytest.mark.parametrize("body", [b'{"messages": []}', b'{"model": null}', b'{"model": ""}'])
def test_a_body_without_a_model_names_none_and_is_no_fault(body: bytes) -> None:
    assert model_of(finish(read_fields(body))) is None


@pytest.mark.parametrize(
    ("body", "model"),
    [
        (b'{"messages": [{"role": 1}], "model": "m"}', "m"),
        (b'{"model": "a", "x": {"model": "b"}, "mod\\u0065l": "c"}', "c"),
        ('{"model": "é", "x": "😀"}'.encode(), "é"),
        (b'{"x": "' + b"a" * 8_000 + b'", "model": "m"}', "m"),
    ],
)
def test_a_model_is_found_whatever_else_the_body_has(body: bytes, model: str) -> None:
    assert finish(read_fields(body)).model == model


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"model": "m"',
        b'{"model": "m", "messages": [1,]}',
        b'{"model": "m", "x": "\xff"}',
        b'{"model": "m", "messages": [{"role": 1}]}',
        '{"model": "m"}'.encode("utf-16-le"),
        '{"model": "m"}'.encode("utf-8-sig"),
        b'{"x": "' + b"a" * 524_288 + b'", "model": "m"}',
    ],
)
def test_an_odd_or_large_or_faulty_body_is_not_read_at_once(body: bytes) -> None:
    assert fields_at_once(body) is None


def test_a_field_of_ours_in_an_empty_body_needs_no_comma_whatever_follows() -> None:
    for body in (b"{}\n", b"{ }", b"{\n} "):
        edited = parse_request(CHAT, body).apply(Edits(model="base")).body
        assert json.loads(bytes(edited)) == {"model": "base"}


@pytest.mark.parametrize("kwargs", [b"null", b"1", b'"x"', b"[]", b'{"enable_thinking":' + b" " * 70_000 + b"true}"])
def test_what_is_inside_no_object_of_usual_size_is_not_looked_for(kwargs: bytes) -> None:
    assert inside(fields(b'{"chat_template_kwargs":%b}' % kwargs), "chat_template_kwargs", "enable_thinking") is None
    assert inside(fields(b"{}"), "chat_template_kwargs", "enable_thinking") is None

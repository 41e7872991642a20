"""Turns of conversations as real clients send them, from request to decision, with a real classifier."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from pointsman import eager
from pointsman.adapters.catalog import ServedModels
from pointsman.classify.classification import Classification
from pointsman.classify.classifier import Classifier
from pointsman.config.model import AdapterOptions, Options, RoutingOptions
from pointsman.errors import ClassifierError, DeadlineMissed, Overloaded
from pointsman.formats import CHAT, MESSAGES, RESPONSES, Format
from pointsman.observability.record import Record, request_line
from pointsman.routing import reading
from pointsman.routing.ask import NO_ASK, Ask, AskFinder, AskKind
from pointsman.routing.conversation_keys import ANYBODY, Caller
from pointsman.routing.conversations import ConversationState
from pointsman.routing.decision import Reason
from pointsman.routing.explain import describe, render
from pointsman.routing.follow_up import content_free
from pointsman.routing.history import HistoryReader
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.policy import FollowUp
from pointsman.routing.router import RoutedRequest, Router
from pointsman.routing.sender import Continuation, Sender
from pointsman.routing.steps import Steps
from support.gate import Gate
from support.toy_config import BASE, category, config, entry

Make = Callable[..., AbstractContextManager[Classifier]]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


async def send(
    router: Router,
    *turns: Any,
    api: Format = CHAT,
    caller: Caller = ANYBODY,
    continued: ConversationState | None = None,
    stated: Ask | None = None,
    **fields: Any,
) -> RoutedRequest:
    """Send what user and assistant said in turns; a mapping is a message as it stands."""
    messages = [
        turn if isinstance(turn, dict) else {"role": ("user", "assistant")[index % 2], "content": turn}
        for index, turn in enumerate(turns)
    ]
    request = parse_request(api, json.dumps({"model": "MoM", api.prompt_field: messages, **fields}).encode())
    if stated is not None:
        request = msgspec.structs.replace(request, ask=stated)
    return await router.route(request, Sender(caller, continues=Continuation(remembered=continued)))


def found(routed: RoutedRequest) -> tuple[str | None, Reason]:
    return routed.decision.category, routed.decision.reason


def known(routed: RoutedRequest) -> bool:
    """Whether something was remembered, and not only read from the request's own history."""
    return routed.recalled is not None and routed.recalled.remembered is not None


STUCK_TO_TECHNICAL = ("technical", Reason.STICKY)
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TOOL = {"role": "tool", "tool_call_id": "c", "content": "landlord landlord"}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": "landlord"}


# --- strangers ------------------------------------------------------------------------------------------------------


async def test_those_who_begin_alike_do_not_inherit_from_each_other(router: Router) -> None:
    people = {"python": "technical", "blood": "medical", "landlord": "legal"}
    for word in people:
        await send(router, "Hi", "Hello!", word)
    for word, expected in people.items():
        assert found(await send(router, "Hi", "Hello!", word, "a", "thanks")) == (expected, Reason.STICKY)
    assert (await send(router, "Hi", "Hello!", "the weather")).decision.category is None
    assert (await send(router, "Hi")).decision.category is None


async def test_nor_do_clients_with_the_same_history(router: Router) -> None:
    await send(router, "python", caller=Caller("me"))
    mine = await send(router, "python", "a", "python landlord", caller=Caller("me"))
    theirs = await send(router, "python", "a", "python landlord", caller=Caller("them"))
    assert (known(mine), known(theirs)) == (True, False)


async def test_nor_do_sessions_of_a_client(router: Router) -> None:
    await send(router, "python", caller=Caller("me", "one"))
    assert not known(await send(router, "python", "a", "python landlord", caller=Caller("me", "two")))


# --- follow-ups -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", ["thanks", "merci", "shorter, please", "und jetzt als Tabelle", "明白了", ":)"])
async def test_a_follow_up_without_content_keeps_the_adapter_unclassified(router: Router, ask: str) -> None:
    await send(router, "python")
    routed = await send(router, "python", "a", ask)
    assert found(routed) == STUCK_TO_TECHNICAL
    assert routed.classification is None


async def test_what_was_said_before_tells_a_follow_up(classifier: Classifier) -> None:
    """The same ask is a change of subject behind another answer."""
    router = Router(config(category("technical"), category("general"), threshold=0.5), classifier, ServedModels)
    ask = "Which python decorator caches generators of blood and weather?"  # by two thirds about the rest
    for answer, category_ in (("Decorators wrap generators.", "technical"), ("Blood and blood and blood.", "general")):
        await send(router, "javascript")
        assert (await send(router, "javascript", answer, ask)).decision.category == category_


async def test_a_conversation_does_not_end_where_the_ask_is_not_read_with_what_was_before(
    make_classifier: Make,
) -> None:
    with make_classifier() as classifier:
        router = Router(config(), classifier, ServedModels)
        await send(router, "python")
        assert found(await send(router, "python", "a", "blood and blood")) == ("medical", Reason.CLASSIFIED)
        read = classifier.classify

        async def classify(text: str, *args: Any) -> Classification:
            if "python" in text:
                raise DeadlineMissed("late")
            return await read(text, *args)

        router.classifier.classify = classify  # type: ignore[method-assign, assignment]
        assert found(await send(router, "python", "b", "blood and blood")) == STUCK_TO_TECHNICAL


async def test_where_nothing_is_known_of_what_was_before_nothing_is_read_with_it(router: Router) -> None:
    """As where vLLM has the history: that tells neither for a follow-up nor for a change."""
    alone = await router.reader.classify("blood and blood")
    follow_up = await router.reader.read_on(FollowUp("technical", "blood and blood"), alone, 0.0)
    assert follow_up.together == 0.5
    assert (await router.reader.read_on(FollowUp("medical", "blood and blood"), alone, 0.0)).together is None


async def test_what_is_read_for_a_request_takes_no_longer_than_the_deadline(make_classifier: Make) -> None:
    with make_classifier() as classifier:
        deadlines: list[float | None] = []
        router, read = Router(config(), classifier, ServedModels), classifier.classify

        async def classify(text: str, deadline: float | None = None, *args: Any) -> Classification:
            deadlines.append(deadline)
            return await read(text, deadline, *args)

        await send(router, "python")
        router.classifier.classify = classify  # type: ignore[method-assign, assignment]
        await send(router, "python", "a", "blood and blood")
        alone, both = deadlines
        deadline = router.config.pointsman.classifier.deadline_ms / 1000
        assert (alone, both) == (None, deadline / 2)
        follow_up = FollowUp("technical", "blood and blood", "python", "python")
        read_alone = await router.reader.classify(follow_up.ask)
        await router.reader.read_on(follow_up, read_alone, time.perf_counter() - 0.9 * deadline)
        left = deadlines[-1]
        assert left is not None
        assert 0 < left <= 0.1 * deadline


async def test_what_is_read_with_an_answer_in_another_language_tells_nothing(make_classifier: Make) -> None:
    with make_classifier() as classifier:
        router, read = Router(config(), classifier, ServedModels), classifier.classify

        async def classify(text: str, *args: Any) -> Classification:
            found = await read(text, *args)
            return replace(found, supported="Sí" not in text)

        router.classifier.classify = classify  # type: ignore[method-assign, assignment]
        alone = await router.reader.classify("blood and blood")
        follow_up = FollowUp("technical", "blood and blood", "python\nSí", "python\nSí")
        follow_up = await router.reader.read_on(follow_up, alone, time.perf_counter())
    assert follow_up.together == reading.UNKNOWN


async def test_it_is_told_what_a_follow_up_was_judged_by(classifier: Classifier) -> None:
    router = Router(config(), classifier, ServedModels)
    first = await send(router, "python")
    assert "together" not in request_line(Record("1", "/v1/chat/completions", routed=first))
    assert "follow_up" not in first.phases()
    messages = [user("python"), assistant("a"), user("blood and blood")]
    request = parse_request(CHAT, json.dumps({"model": "MoM", "messages": messages}).encode())
    routed = await router.route(request)
    assert routed.follow_up is not None
    together = routed.follow_up.together
    assert together is not None
    assert routed.phases()["follow_up"] == routed.follow_up.seconds > 0
    assert request_line(Record("1", "/v1/chat/completions", routed=routed))["together"] == round(together, 4)
    description = describe(router, request, routed)
    assert description["conversation"]["together"] == together
    assert f", {together:.3f} with what was before" in render(description)


async def test_after_a_greeting_the_next_ask_is_decided_as_a_first_one(classifier: Classifier) -> None:
    """The greeting went to the rest, which is no subject to stay with."""
    router = Router(config(category("technical"), category("general"), threshold=0.5), classifier, ServedModels)
    ask = "it is a python bridge in the weather"  # leans, and is technical by two thirds
    await send(router, "Hi")
    assert found(await send(router, "Hi", "Hello!", ask)) == ("technical", Reason.CLASSIFIED)
    await send(router, "weather")
    assert found(await send(router, "weather", "Sunny.", ask)) == ("general", Reason.STICKY)


async def test_the_fallback_for_an_unsure_ask_is_no_subject_to_stay_with(classifier: Classifier) -> None:
    router = Router(config(fallback="legal"), classifier, ServedModels)
    await send(router, "python blood")
    assert found(await send(router, "python blood", "a", "is it python or blood?")) == ("legal", Reason.LOW_CONFIDENCE)
    assert found(await send(router, "python blood", "a", "thanks")) == ("legal", Reason.STICKY)


@pytest.mark.parametrize(
    "between", [[assistant(None, tool_calls=[CALL]), TOOL, assistant("a")], [assistant("a"), user("thanks")]]
)
async def test_nor_is_it_after_what_is_not_classified(classifier: Classifier, between: list[Any]) -> None:
    router = Router(config(fallback="legal"), classifier, ServedModels)
    said = [user("python blood")]
    await send(router, *said)
    for message in between:
        said.append(message)
        if message["role"] != "assistant":
            assert found(await send(router, *said)) == ("legal", Reason.STICKY)
    routed = await send(router, *said, assistant("b"), user("is it python or blood?"))
    assert found(routed) == ("legal", Reason.LOW_CONFIDENCE)


async def test_a_change_to_something_else_ends_the_conversation(router: Router) -> None:
    await send(router, "python")
    assert found(await send(router, "python", "a", "How is the weather?")) == (None, Reason.NO_CATEGORY)
    assert found(await send(router, "python", "a", "How is the weather?", "b", "thanks")) == (None, Reason.STICKY)
    back = await send(router, "python", "a", "How is the weather?", "b", "is python good for this?")
    assert found(back) == ("technical", Reason.CLASSIFIED)


async def test_a_failing_classifier_does_not_break_the_chain_of_turns(make_classifier: Make) -> None:
    with make_classifier() as classifier:
        router, gate = Router(config(), classifier, ServedModels), Gate(classifier)
        await send(router, "python")
        gate.close()
        classifier.encoder._deadline = 0.05
        assert found(await send(router, "python", "a", "blood")) == ("technical", Reason.DEADLINE)
        gate.open()
        assert found(await send(router, "python", "a", "blood", "b", "thanks")) == STUCK_TO_TECHNICAL


# --- within a turn --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "steps"),
    [
        pytest.param(CHAT, [assistant(None, tool_calls=[CALL]), TOOL], id="chat"),
        pytest.param(CHAT, [assistant("Let me see.", tool_calls=[CALL, CALL]), TOOL, TOOL], id="two calls at once"),
        pytest.param(MESSAGES, [assistant([USE]), user([RESULT])], id="messages"),
        pytest.param(
            RESPONSES,
            [
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "landlord"},
            ],
            id="responses",
        ),
        pytest.param(CHAT, [assistant("The landlord")], id="a prefilled answer"),
    ],
)
async def test_no_step_of_a_tool_loop_switches(router: Router, api: Format, steps: list[Any]) -> None:
    await send(router, user("blood"), api=api)
    said = [user("blood"), assistant("a"), user("python")]
    await send(router, *said, api=api)
    for _ in range(3):
        said += steps
        routed = await send(router, *said, api=api)
        assert found(routed) == STUCK_TO_TECHNICAL
        assert routed.classification is None
    assert found(await send(router, *said, assistant("b"), user("thanks"), api=api)) == STUCK_TO_TECHNICAL


@pytest.mark.parametrize(
    ("api", "steps"),
    [
        pytest.param(CHAT, [assistant(None, tool_calls=[CALL]), TOOL], id="chat"),
        pytest.param(MESSAGES, [assistant([USE]), user([RESULT])], id="messages"),
    ],
)
@pytest.mark.parametrize("before", [[], [user("javascript"), assistant("No.")]], ids=["first turn", "later turn"])
@pytest.mark.parametrize("error", [DeadlineMissed("late"), Overloaded("1 texts wait"), ClassifierError("it stopped")])
async def test_a_tool_loop_stays_with_what_answered_for_want_of_a_class(
    classifier: Classifier,
    monkeypatch: pytest.MonkeyPatch,
    api: Format,
    steps: list[Any],
    before: list[Any],
    error: ClassifierError,
) -> None:
    """Its later turns are judged as if nothing were known; so is the turn if it is asked again."""
    router = Router(config(fallback="legal"), classifier, ServedModels)
    said = [*before, user("python")]
    with monkeypatch.context() as broken:
        broken.setattr(classifier, "classify", refusing(error))
        assert found(await send(router, *said, api=api)) == ("legal", Reason(error.reason))
    for count in (1, 2):
        assert found(await send(router, *said, *steps * count, api=api)) == ("legal", Reason.STICKY)
    follow_up = await send(router, *said, *steps, assistant("a"), user("python landlord"), api=api)
    assert found(follow_up) == STUCK_TO_TECHNICAL
    assert found(await send(router, *said, api=api)) == ("technical", Reason.CLASSIFIED)


def refusing(error: ClassifierError) -> Callable[..., Awaitable[Classification]]:
    async def classify(text: str, *_: object) -> Classification:
        raise error

    return classify


async def test_a_tool_loop_without_tools_in_its_last_step_keeps_its_model(classifier: Classifier) -> None:
    """As clients do that want an answer after so many steps. The next turn may have another."""
    made = config(pointsman=Options(adapters=AdapterOptions(tools={"technical-lora": False})))
    router = Router(made, classifier, ServedModels)
    tool = {"type": "function", "function": {"name": "f"}}
    said = [user("python"), assistant(None, tool_calls=[CALL]), TOOL]
    first = await send(router, *said[:1], tools=[tool])
    assert (first.decision.model, first.decision.reason) == (BASE, Reason.ADAPTER_WITHOUT_TOOLS)
    last = await send(router, *said)
    assert last.decision.model == BASE
    assert router.again(parse_request(CHAT, b'{"messages": []}'), last, ServedModels()).decision.model == BASE
    assert (await send(router, *said, assistant("a"), user("thanks"))).decision.model == "technical-lora"


async def test_an_answer_that_the_client_began_is_no_reason_not_to_look_at_a_new_ask(router: Router) -> None:
    said = [user("python"), assistant("a"), user("How high is my blood pressure?")]
    await send(router, *said[:1])
    assert found(await send(router, *said, assistant("{"))) == ("medical", Reason.CLASSIFIED)
    assert found(await send(router, *said, assistant('{"'))) == ("medical", Reason.STICKY)


REMINDER = "<system-reminder>\nThe landlord's file was changed.\n</system-reminder>"


@pytest.mark.parametrize("api", [CHAT, MESSAGES])
async def test_neither_is_a_reminder_behind_it(router: Router, api: Format) -> None:
    said = [user("python"), assistant("a"), user("How high is my blood pressure?"), user(REMINDER)]
    await send(router, *said[:1], api=api)
    assert found(await send(router, *said, api=api)) == ("medical", Reason.CLASSIFIED)
    loop = [*said, assistant([USE]), user([RESULT, {"type": "text", "text": REMINDER}])]
    assert found(await send(router, *loop, api=api)) == ("medical", Reason.STICKY)


async def test_the_reminder_of_a_first_turn_does_not_make_it_a_step_of_a_strangers(router: Router) -> None:
    for _ in range(2):
        routed = await send(router, user("python"), user(REMINDER))
        assert found(routed) == ("technical", Reason.CLASSIFIED)


async def test_a_turn_that_is_not_decided_leaves_the_conversation_its_category(classifier: Classifier) -> None:
    """The default model answers an ambiguous ask, and further steps of its turn, and not the fallback."""
    router = Router(config(fallback="legal"), classifier, ServedModels)
    await send(router, "python")
    said = [user("python"), assistant("a"), user("A landlord. And blood?")]
    ambiguous = Ask("A landlord. And blood?", AskKind.MESSAGE, others=("landlord", "blood"))
    first = await send(router, *said, stated=ambiguous)
    assert found(first) == (None, Reason.AMBIGUOUS)
    step = await send(router, *said, assistant(None, tool_calls=[CALL]), TOOL, stated=ambiguous)
    assert found(step) == (None, Reason.STICKY)
    assert found(await send(router, *said, assistant("b"), user("thanks"))) == STUCK_TO_TECHNICAL


async def test_an_ambiguous_turn_says_nothing_of_a_conversation_that_is_not_known(router: Router) -> None:
    said = ["python", "a", "A landlord. And blood?"]
    await send(router, *said, stated=Ask(said[-1], AskKind.MESSAGE, others=("landlord", "blood")))
    assert not known(await send(router, *said, "b", "more of it: python or a landlord?"))


async def test_a_picture_leaves_the_conversation_its_category(router: Router) -> None:
    await send(router, "python")
    said = [user("python"), assistant("a"), user([{"type": "image_url", "image_url": {"url": "data:,"}}])]
    assert found(await send(router, *said)) == STUCK_TO_TECHNICAL
    assert found(await send(router, *said, assistant("b"), user("thanks"))) == STUCK_TO_TECHNICAL


async def test_audio_alone_is_no_text(router: Router) -> None:
    """Whatever the system prompt says."""
    audio = [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]
    assert found(await send(router, user(audio))) == (None, Reason.NO_TEXT)
    assert found(await send(router, {"role": "system", "content": "python"}, user(audio))) == (None, Reason.NO_TEXT)


# --- histories that clients change ----------------------------------------------------------------------------------

LONG = ["python", "a", "a loop", "b", "a generator", "c"]


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(["python", "edited", *LONG[2:]], id="an answer was edited"),
        pytest.param(LONG[2:], id="the oldest turns were dropped"),
        pytest.param([user("Summary: python."), assistant("I see."), *LONG[4:]], id="the oldest turns were compacted"),
    ],
)
async def test_where_a_history_was_changed_the_session_tells(router: Router, rest: list[Any]) -> None:
    caller = Caller("me", "s")
    for end in (1, 3, 5):
        await send(router, *LONG[:end], caller=caller)
    assert found(await send(router, *rest, "python landlord", caller=caller)) == STUCK_TO_TECHNICAL
    assert not known(await send(router, *rest, "thanks", caller=Caller("me", "t")))


PROBE: dict[str, Any] = {"max_tokens": 1}


@pytest.mark.parametrize("ask", ["quota", "Write a landlord's title for this", "blood"])
async def test_a_probe_or_helper_request_does_not_speak_for_its_session(router: Router, ask: str) -> None:
    """Coding agents send these under the session's id, before its first turn or after it, and without tools."""
    caller, tools = Caller("me", "s"), [{"name": "f", "input_schema": {}}]
    await send(router, ask, api=MESSAGES, caller=caller, **PROBE)
    await send(router, "python", api=MESSAGES, caller=caller, tools=tools)
    await send(router, ask, api=MESSAGES, caller=caller, **PROBE)
    compacted = ["Summary of the session so far.", "I see.", "python landlord"]
    routed = await send(router, *compacted, api=MESSAGES, caller=caller, tools=tools)
    assert found(routed) == STUCK_TO_TECHNICAL


class Unwrapping(AskFinder):
    """Finds the question behind retrieved material, and a front end's task."""

    def search(self, parts: Sequence[str], system: str = "") -> Steps[Ask]:
        yield
        text = " ".join(parts)
        return Ask(text.rpartition("Question: ")[2], AskKind.ASK) if text else NO_ASK


async def test_a_wrapper_that_vanishes_from_later_histories_does_not_matter(router: Router) -> None:
    """RAG front ends wrap the newest question alone."""
    router._conversations._histories = HistoryReader(Unwrapping())
    ask = Ask("python", AskKind.ASK)
    await send(router, "Use the context: landlord\nQuestion: python", stated=ask)
    wrapped = "Use the context: landlord landlord\nQuestion: python landlord"
    routed = await send(router, "python", "a", wrapped, stated=Ask("python landlord", AskKind.ASK))
    assert found(routed) == STUCK_TO_TECHNICAL


async def test_nor_does_one_that_is_known_by_its_tags(router: Router) -> None:
    """The history is what the search for asks makes of it, without any help."""
    wrapped = f"<context>\n{'landlord ' * 40}\n</context>\n\n<question>\n{{}}\n</question>"
    first = await send(router, wrapped.format("why does python loop?"))
    assert found(first) == ("technical", Reason.CLASSIFIED)
    second = await send(router, "why does python loop?", "a", wrapped.format("thanks"))
    assert known(second)
    assert found(second) == STUCK_TO_TECHNICAL


async def test_a_helper_task_neither_reads_nor_writes(router: Router) -> None:
    await send(router, "python")
    for text in ("python landlord", "landlord"):
        helper = await send(router, "python", "a", text, stated=Ask(text, AskKind.HELPER_TASK))
        assert helper.decision.reason is not Reason.STICKY
    assert found(await send(router, "python", "a", "landlord", "b", "thanks")) != ("legal", Reason.STICKY)


# --- histories that are not known here ------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", ["thanks", "und jetzt als Tabelle", "and blood landlord?", "blood landlord"])
async def test_where_a_history_is_unknown_earlier_asks_are_read_along(router: Router, ask: str) -> None:
    """By them alone, if the new one says nothing."""
    routed = await send(router, "python", "a", "python", "b", ask)
    assert routed.decision.category == "technical"
    assert routed.classification is not None
    assert routed.text == ("python\npython" if ask in ("thanks", "und jetzt als Tabelle") else ask)


async def test_one_that_is_surely_about_something_else_is_a_change(router: Router) -> None:
    routed = await send(router, "python", "a", "python", "b", "How high is my blood pressure?")
    assert found(routed) == ("medical", Reason.CLASSIFIED)
    assert routed.text == "How high is my blood pressure?"


async def test_three_earlier_asks_are_read_and_of_each_the_beginning(router: Router) -> None:
    routed = await send(
        router,
        "landlord",
        "a",
        "blood",
        "b",
        "blood",
        "c",
        "How do I use python" + " with python" * 100 + "?",
        "d",
        "thanks",
    )
    newest, *earlier = routed.text.split("\n")
    assert earlier == ["blood", "blood"]
    assert len(newest) <= 400


async def test_they_are_read_along_outside_of_a_task_too(router: Router) -> None:
    """As requests are routed until they must wait, which one with a known text need not."""
    await router.classifier.classify("Is blood landlord eager?")
    done: list[RoutedRequest] = []

    async def work() -> None:
        done.append(await send(router, "python", "a", "python", "b", "Is blood landlord eager?"))

    task = eager.run(work(), asyncio.get_running_loop())
    assert task is not None
    await task
    assert done[0].decision.category == "technical"


async def test_without_a_result_for_them_the_ask_alone_decides(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    classify = router.classifier.classify

    async def alone(text: str, *_: object) -> Classification:
        if text == "python":
            raise Overloaded("1 texts wait")
        return await classify(text)

    monkeypatch.setattr(router.classifier, "classify", alone)
    routed = await send(router, "python", "a", "Is blood landlord lonely?")
    assert (found(routed), routed.text) == ((None, Reason.LOW_CONFIDENCE), "Is blood landlord lonely?")


UNKNOWN = ["python", "a", "Is blood landlord lonely?"]


async def test_both_texts_go_in_one_forward_pass(router: Router) -> None:
    gate = Gate(router.classifier)
    routed = await send(router, *UNKNOWN)
    assert (routed.text, routed.decision.category) == ("Is blood landlord lonely?", "technical")
    assert gate.runs == [2]


async def test_so_they_do_behind_others(router: Router) -> None:
    gate = Gate(router.classifier)
    gate.close()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send(router, "weather"))
        await gate.entered()
        tasks.create_task(send(router, *UNKNOWN))
        await asyncio.sleep(0)
        gate.open()
    assert gate.runs == [1, 2]


async def test_two_idle_workers_run_them_side_by_side(make_classifier: Make) -> None:
    """So the request waits for the longer one alone."""
    with make_classifier(threads=2) as classifier:
        gate = Gate(classifier)
        gate.close()
        routing = asyncio.ensure_future(send(Router(config(), classifier, ServedModels), *UNKNOWN))
        await gate.entered()
        await gate.entered()  # while the first still runs
        gate.open()
        assert (await routing).decision.category == "technical"
        assert gate.runs == [1, 1]


async def test_of_an_ask_that_says_nothing_the_earlier_ones_alone_are_run(router: Router) -> None:
    gate = Gate(router.classifier)
    await send(router, "python", "a", "thanks")
    assert gate.runs == [1]


@pytest.mark.parametrize("known", [True, False])
async def test_few_earlier_turns_are_looked_at_for_content(
    router: Router, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """Each takes up to 0.3 ms in scripts without spaces."""
    said = ["Hi", *["ok", "ありがとう"] * 30]
    if known:
        await send(router, *said[:-1], said[-1])
    looked_at: list[str] = []

    def counted(text: str) -> bool:
        looked_at.append(text)
        return content_free(text)

    monkeypatch.setattr(reading, "content_free", counted)
    await send(router, *said, "ok", "blood landlord")
    assert 1 <= len(looked_at) <= 4


# --- stored responses -----------------------------------------------------------------------------------------------


async def test_a_response_that_is_continued_gives_its_category_on(router: Router) -> None:
    continued = ConversationState("technical", 0.5)
    assert found(await send(router, "thanks", api=RESPONSES, continued=continued)) == STUCK_TO_TECHNICAL
    assert found(await send(router, "blood landlord", api=RESPONSES, continued=continued)) == STUCK_TO_TECHNICAL
    output = {"type": "function_call_output", "call_id": "c", "output": "5"}
    assert found(await send(router, output, api=RESPONSES, continued=continued)) == STUCK_TO_TECHNICAL
    switched = await send(router, "How high is my blood pressure?", api=RESPONSES, continued=continued)
    assert switched.remembered == ConversationState("medical", 0.5)


async def test_a_response_without_a_class_gives_nothing_on_but_to_its_own_steps(router: Router) -> None:
    continued = ConversationState(None, 0.5, unread=True)
    output = {"type": "function_call_output", "call_id": "c", "output": "5"}
    assert found(await send(router, output, api=RESPONSES, continued=continued)) == (None, Reason.STICKY)
    assert found(await send(router, "python", api=RESPONSES, continued=continued)) == ("technical", Reason.CLASSIFIED)


async def test_it_is_not_remembered_by_the_end_of_its_history_that_the_body_has(router: Router) -> None:
    await send(router, "python landlord", api=RESPONSES, continued=ConversationState("technical", 0.5))
    routed = await send(router, "python landlord", "a", "and now?", api=RESPONSES)
    assert routed.decision.reason is not Reason.STICKY


# --- switched off ---------------------------------------------------------------------------------------------------


async def test_without_stickiness_each_turn_is_decided_by_itself_and_on_its_side_of_a_split(
    classifier: Classifier,
) -> None:
    random.seed(14)
    routing = RoutingOptions(split="score", sticky=False)
    router = Router(config(category("technical", entry("a"), entry("b")), routing=routing), classifier, ServedModels)
    for number in range(20):
        first = await send(router, f"python {number}")
        alone = await send(router, f"python {number}", "a", "and blood?")
        assert (alone.decision.category, alone.text) == (None, "and blood?")
        again = await send(router, f"python {number}", "a", "and blood?", "b", "more python")
        assert again.decision.model == first.decision.model


# --- split ----------------------------------------------------------------------------------------------------------

"""The user's turns of a request, and what identifies the history that they make."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest

from pointsman.formats import CHAT, MESSAGES, RESPONSES, Format
from pointsman.routing import steps, subject
from pointsman.routing.ask import NO_ASK, Ask, AskFinder, AskKind
from pointsman.routing.conversation_keys import ANYBODY, Caller, ConversationKeys, conversation_of
from pointsman.routing.history import History, HistoryReader
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.steps import Steps, finish

KIB = 1024


class Unwrapping(AskFinder):
    """Finds what is in <ask>, nothing in a message of reminders alone."""

    def search(self, parts: Sequence[str], system: str = "") -> Steps[Ask]:
        yield
        text = " ".join(part for part in parts if not part.startswith("<system-reminder>"))
        if "<ask>" in text:
            return Ask(text.partition("<ask>")[2].partition("</ask>")[0], AskKind.ASK)
        return Ask(text, AskKind.MESSAGE) if text else NO_ASK


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **fields}


def body(*messages: Any, api: Format = CHAT) -> bytes:
    return json.dumps({"model": "MoM", api.prompt_field: messages}, ensure_ascii=False).encode()


def parsed(*messages: Any, api: Format = CHAT) -> ParsedRequest:
    return parse_request(api, body(*messages, api=api))


def read(*messages: Any, api: Format = CHAT, reader: HistoryReader | None = None) -> History:
    request = parse_request(api, body(*messages, api=api), Unwrapping())
    return finish((reader or HistoryReader(Unwrapping())).read(request.messages, request.ask, request.asked))


def conversation(*messages: Any, api: Format = CHAT, caller: Caller = ANYBODY) -> ConversationKeys:
    found = conversation_of(read(*messages, api=api), caller)
    assert found is not None
    return found


FIRST = [user("How do I sort a list?"), assistant("With sorted()."), user("And in place?")]
LATER = [*FIRST, assistant("With sort()."), user("thanks")]


def test_a_turn_finds_the_decision_about_its_history_up_to_the_turn_before() -> None:
    assert conversation(*LATER).previous == conversation(*FIRST).own
    assert conversation(*FIRST).previous == conversation(FIRST[0]).own


def test_a_first_turn_has_no_turn_before() -> None:
    assert conversation(user("Hi")).previous is None
    assert conversation({"role": "system", "content": "Be brief."}, user("Hi")).previous is None
    assert conversation(assistant("Welcome!"), user("Hi")).previous is None


def test_two_who_begin_alike_meet_only_where_their_histories_are_the_same() -> None:
    one = conversation(user("Hi"), assistant("Hello!"), user("python"))
    other = conversation(user("Hi"), assistant("Hello!"), user("blood"))
    assert one.previous == other.previous == conversation(user("Hi")).own
    assert one.own != other.own


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param([user("How do I sort a dict?"), *FIRST[1:]], id="an earlier ask"),
        pytest.param([FIRST[0], assistant("With a loop."), FIRST[2]], id="an answer"),
        pytest.param([*FIRST[:2], user("And backwards?")], id="the new ask"),
        pytest.param([user("How do I sort a list? With sorted()."), assistant(""), FIRST[2]], id="where one ends"),
        pytest.param([user("How do I sort a list?"), user("With sorted()."), FIRST[2]], id="who said it"),
    ],
)
def test_another_ask_or_answer_is_another_history(changed: list[Any]) -> None:
    assert conversation(*changed).own != conversation(*FIRST).own


CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    "same",
    [
        pytest.param([{"role": "system", "content": "Today is Monday."}, *FIRST], id="a system prompt"),
        pytest.param([{"role": "developer", "content": "Be brief."}, *FIRST], id="a developer's prompt"),
        pytest.param([*FIRST[:2], user("<system-reminder>Monday</system-reminder>"), FIRST[2]], id="a reminder"),
        pytest.param([user("<doc>lists</doc><ask>How do I sort a list?</ask>"), *FIRST[1:]], id="a RAG wrapper"),
        pytest.param([user([{"type": "text", "text": "How do I sort a list?"}]), *FIRST[1:]], id="content parts"),
        pytest.param(
            [FIRST[0], assistant("<think>Hm.</think>\n\nWith sorted()."), FIRST[2]], id="reasoning in the text"
        ),
        pytest.param(
            [FIRST[0], assistant("With sorted().", reasoning_content="Hm."), FIRST[2]], id="reasoning beside it"
        ),
        pytest.param([user("How do I  sort a\nlist?"), assistant("\nWith sorted(). "), FIRST[2]], id="white space"),
        pytest.param(
            [FIRST[0], assistant(None, tool_calls=[CALL]), {"role": "tool", "content": "5"}, *FIRST[1:]], id="a tool"
        ),
        pytest.param(
            [
                FIRST[0],
                assistant([{"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "With sorted()."}]),
                FIRST[2],
            ],
            id="Anthropic's thinking",
        ),
    ],
)
def test_what_clients_change_from_turn_to_turn_is_no_part_of_a_history(same: list[Any]) -> None:
    assert conversation(*same).own == conversation(*FIRST).own


def test_the_formats_agree() -> None:
    items = [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How do I sort a list?"}]},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "5"},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "With sorted()."}]},
        user("And in place?"),
    ]
    assert conversation(*items, api=RESPONSES).own == conversation(*FIRST).own
    blocks = [
        user([{"type": "text", "text": "How do I sort a list?"}]),
        assistant([{"type": "tool_use", "id": "t", "name": "f", "input": {}}]),
        user([{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "no"}]}]),
        assistant([{"type": "text", "text": "With sorted()."}]),
        user("And in place?"),
    ]
    assert conversation(*blocks, api=MESSAGES).own == conversation(*FIRST).own


RESULT = user([{"type": "tool_result", "tool_use_id": "t", "content": "5"}])
REMINDED = user([RESULT["content"][0], {"type": "text", "text": "<system-reminder>Monday</system-reminder>"}])


@pytest.mark.parametrize(
    ("api", "messages", "continues"),
    [
        pytest.param(CHAT, FIRST, False, id="a new turn"),
        pytest.param(CHAT, [*FIRST, {"role": "system", "content": "Be brief."}], False, id="instructions at the end"),
        pytest.param(CHAT, [*FIRST, user("<system-reminder>Monday</system-reminder>")], False, id="a reminder"),
        pytest.param(CHAT, [*FIRST, assistant("The ans")], True, id="a prefilled answer"),
        pytest.param(CHAT, [*FIRST, assistant(None), {"role": "tool", "content": "5"}], True, id="a tool's result"),
        pytest.param(MESSAGES, [*FIRST, assistant([]), RESULT], True, id="a tool's result in Anthropic's form"),
        pytest.param(MESSAGES, [*FIRST, assistant([]), REMINDED], True, id="a reminder beside it"),
        pytest.param(
            RESPONSES, [*FIRST, {"type": "function_call"}, {"type": "function_call_output"}], True, id="items"
        ),
    ],
)
def test_a_step_within_a_turn_has_the_key_of_its_turn(
    api: Format,
    messages: list[Any],
    continues: bool,
) -> None:
    found = conversation(*messages, api=api)
    assert (found.own, found.continues) == (conversation(*FIRST).own, continues)


def test_what_a_person_writes_beside_a_tools_result_is_a_turn() -> None:
    spoken = user([RESULT["content"][0], {"type": "text", "text": "no, in place"}])
    found = conversation(*FIRST, assistant([]), spoken, api=MESSAGES)
    assert (found.previous, found.continues) == (conversation(*FIRST).own, False)


def test_who_writes_twice_in_a_row_has_two_turns() -> None:
    assert conversation(user("Hi"), user("python")).previous == conversation(user("Hi")).own


def test_a_regeneration_has_the_key_of_its_turn_and_an_edit_that_of_the_turn_before() -> None:
    assert conversation(*FIRST) == conversation(*FIRST)
    edited = conversation(*FIRST[:2], user("And sideways?"))
    assert edited.previous == conversation(*FIRST).previous
    assert edited.own != conversation(*FIRST).own


@pytest.mark.parametrize("caller", [Caller("other"), Caller("me", "s"), Caller("", "me")])
def test_clients_and_sessions_never_meet(caller: Caller) -> None:
    mine, theirs = conversation(*FIRST, caller=Caller("me")), conversation(*FIRST, caller=caller)
    assert mine.own != theirs.own
    assert mine.previous != theirs.previous


def test_a_request_without_a_users_turn_is_no_conversation() -> None:
    assert conversation_of(read(assistant("Hello!")), ANYBODY) is None
    assert conversation_of(read(), ANYBODY) is None


def test_a_plain_prompt_is_one_turn() -> None:
    ask = Ask("python", AskKind.MESSAGE)
    history = finish(HistoryReader(Unwrapping()).read(None, ask))
    assert conversation_of(history, ANYBODY) == conversation(user("python"))


def test_a_first_turn_is_read_in_no_steps_and_to_the_same_history() -> None:
    """Below system prompts, which are its history no more than of a longer conversation."""
    above = {"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Answer in English."}
    for messages in ([user("python")], [above[0], user("python")], [*above, user(" ")]):
        request, reader = parsed(*messages), HistoryReader(Unwrapping())
        stepped = finish(reader.read(request.messages, request.ask, request.asked))
        first = reader.first(request.messages, request.asked, request.ask)
        assert (first is None) == (request.asked is None)
        assert first in (None, stepped)


def test_what_is_more_than_a_first_turn_is_read_in_steps() -> None:
    step = [user("python"), assistant("With"), {"role": "tool", "content": "1"}]
    for messages in (FIRST, step, [assistant("Hello."), user("python")], [user("python"), user("in place?")]):
        request = parsed(*messages)
        assert HistoryReader(Unwrapping()).first(request.messages, request.asked, request.ask) is None


def test_what_the_client_states_to_be_the_ask_is_not_taken_for_its_message() -> None:
    """The next request has the message, and not the statement."""
    request = parsed(*FIRST)
    stated = finish(HistoryReader(Unwrapping()).read(request.messages, Ask("sorting", AskKind.STATED)))
    assert conversation_of(stated, ANYBODY) == conversation(*FIRST)


def test_a_last_message_without_an_ask_is_neither_a_turn_nor_a_step_though_the_request_has_one() -> None:
    reminder = user("<system-reminder>Monday</system-reminder>")
    history = finish(
        HistoryReader(Unwrapping()).read(parsed(*FIRST, reminder).messages, Ask("And in place?", AskKind.MESSAGE))
    )
    assert conversation_of(history, ANYBODY) == conversation(*FIRST)


def test_the_answer_before_the_newest_ask_is_kept_to_judge_it_by() -> None:
    """And the ask before that."""
    thinking = assistant("<think>Hm.</think>With sort(), " + "x" * 1_000)
    history = read(*FIRST, thinking, user("thanks"), user("<system-reminder>Monday</system-reminder>"))
    assert history.before == "And in place?\nWith sort(), " + "x" * (400 - len("With sort(), "))
    assert read(*FIRST, assistant(None, tool_calls=[CALL]), {"role": "tool", "content": "5"}).answer == "With sorted()."
    assert read(user("Hi")).before == ""


def test_of_both_as_much_is_read_before_the_newest_as_the_weights_are_fitted_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(subject, "ASK_CHARACTERS", 12)
    monkeypatch.setattr(subject, "ANSWER_CHARACTERS", 4)
    assert read(*FIRST, assistant("With sort()."), user("thanks")).context == "And in place\nWith"
    assert read(assistant("With sort()."), user("thanks")).context == "With"


def test_an_ask_is_read_again_behind_200_characters_of_the_last_one_and_of_its_answer() -> None:
    history = read(user("q" * 300), assistant("a" * 300), user("thanks"))
    assert history.context == "q" * 200 + "\n" + "a" * 200


# --- bounds ---------------------------------------------------------------------------------------------------------


def test_a_long_answer_is_known_by_its_length_and_its_ends() -> None:
    def own(answer: str) -> bytes:
        return conversation(user("a"), assistant(answer), user("b")).own

    long = "a" * 20_000
    assert own(long) != own(long + "a")
    assert own(long) != own("b" + long[1:])
    assert own(long) != own(long[:-1] + "b")
    assert own(long) == own(long[:9_000] + "b" + long[9_001:])
    assert own(long[:2_000]) != own(long[:1_500] + "b" + long[1_501:2_000])


def turns(count: int, first: str = "0") -> list[Any]:
    said = [user(first)]
    for number in range(1, count):
        said += [assistant(f"answer {number}"), user(str(number))]
    return said


@pytest.mark.parametrize("count", [31, 32, 33, 34, 100])
def test_a_long_history_goes_on_from_turn_to_turn(count: int) -> None:
    assert conversation(*turns(count)).previous == conversation(*turns(count - 1)).own


def test_of_a_long_history_the_newest_32_turns_count() -> None:
    assert conversation(*turns(32, "a")).own != conversation(*turns(32, "b")).own
    assert conversation(*turns(33, "a")).own == conversation(*turns(33, "b")).own
    assert len(read(*turns(2000)).turns) == 33


def test_a_message_that_comes_again_is_not_read_again() -> None:
    class Counting(Unwrapping):
        asked = 0

        def search(self, parts: Sequence[str], system: str = "") -> Steps[Ask]:
            self.asked += 1
            return super().search(parts, system)

    finder = Counting()
    reader = HistoryReader(finder)
    known = [read(*said, reader=reader) for said in (FIRST, LATER, LATER)]
    assert known == [read(*said) for said in (FIRST, LATER, LATER)]
    assert finder.asked == 2  # the first of the earlier asks, and then the second


def test_the_same_words_of_another_are_another_message() -> None:
    reader = HistoryReader(Unwrapping())
    for said in ([user("a"), assistant("b"), user("b")], [user("a"), user("b"), user("b")]):
        assert read(*said, reader=reader) == read(*said)


def test_of_a_message_its_beginning_and_a_hash_are_kept() -> None:
    finder = Unwrapping()
    read(user("a" * 1_000), assistant("b" * 300 * KIB), user("c"), reader=HistoryReader(finder))
    known = finder.memory.digests._entries.values()
    assert sorted(len(said.digest) + len(said.excerpt) for said in known) == [17, 416, 416]


def test_a_long_list_is_known_by_its_texts() -> None:
    finder = Unwrapping()
    reader, said = HistoryReader(finder), [user("a" * 300 * KIB), assistant("b" * 300 * KIB), user("c")]
    parts = [one | {"content": [{"type": "text", "text": one["content"]}]} for one in said]
    assert read(*parts, reader=reader).turns == read(*said).turns
    known = dict(finder.memory.digests._entries)
    spaced = [one | {"content": [{"text": one["content"], "type": "text"}]} for one in said]
    assert read(*spaced, reader=reader).turns == read(*said).turns
    assert finder.memory.digests._entries == known


@pytest.mark.parametrize("said", ["<system-reminder>Monday</system-reminder>", "a"])
@pytest.mark.parametrize("role", ["user", "assistant", "tool"])
def test_others_run_between_the_messages_of_a_history(role: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To find the ask in one takes microseconds or milliseconds, and a microsecond where it is known."""
    monkeypatch.setattr(steps, "perf_counter", itertools.count().__next__)
    between = [{"role": role, "content": f"{said}{number}"} for number in range(320)]
    request, reader = parsed(user("a"), *between, user("b")), HistoryReader(Unwrapping())
    pauses = [sum(1 for _ in reader.read(request.messages, NO_ASK)) for _ in range(2)]
    assert pauses[0] >= (32 if role == "user" else 20 if role == "tool" else 320)
    assert pauses[1] >= 2


def test_others_run_within_a_long_message_of_a_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "perf_counter", itertools.count().__next__)
    request = parsed(user("Question: a\n" * 500), user("b"))
    assert sum(1 for _ in HistoryReader(AskFinder()).read(request.messages, NO_ASK)) >= 400


def test_of_the_messages_of_a_history_four_mebibytes_are_searched_for_asks() -> None:
    """Each line of them counts as 64 characters; one that is not searched says nothing."""

    class Counting(AskFinder):
        searches = 0

        def search(self, parts: Sequence[str], system: str = "") -> Steps[Ask]:
            self.searches += 1
            return super().search(parts, system)

    finder = Counting()
    material = [user("Context:\n" + "a: b\n" * 500 + str(number)) for number in range(1_000)]
    messages = parsed(user("What is a tort?"), *material, user("b")).messages
    history = finish(HistoryReader(finder).read(messages, NO_ASK))
    assert 110 < finder.searches < 130
    assert [turn.ask for turn in history.turns] == ["b"]


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_an_earlier_message_of_too_many_parts_says_nothing(role: str) -> None:
    """The body is read nevertheless: its newest ask is what counts."""
    large = {"role": role, "content": [{"type": "text", "text": "a" * 100}] * 5_000}
    assert conversation(user("a"), large, user("b")).previous == conversation(user("a")).own

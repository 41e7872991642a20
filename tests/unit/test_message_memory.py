"""What is remembered of messages, and how much."""

from __future__ import annotations

import gc
import json
import tracemalloc
from typing import Any

import pytest

from pointsman.formats import CHAT, COMPLETIONS, MESSAGES, Format
from pointsman.routing.ask import Ask, AskFinder, AskKind, AskStep
from pointsman.routing.history import HistoryReader
from pointsman.routing.message_memory import MessageDigest, MessageMemory, SizedTable, ask_bytes, digest_bytes
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.steps import Steps, finish

KIB, MIB = 1024, 1024 * 1024


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def read(finder: AskFinder, *messages: Any, api: Format = CHAT, **more: Any) -> ParsedRequest:
    body = {"model": "MoM", "messages": messages, **more}
    return parse_request(api, json.dumps(body).encode(), finder)


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The messages that are searched for an ask, as far as they begin."""
    found: list[str] = []
    search = AskFinder.search

    def noted(self: AskFinder, parts: list[str], system: str = "") -> Steps[Ask]:
        found.append(" ".join(parts)[:20])
        return search(self, parts, system)

    monkeypatch.setattr(AskFinder, "search", noted)
    return found


# --- what is known ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 31 * KIB, 40 * KIB, 300 * KIB, MIB])
@pytest.mark.parametrize("ask", ["What is a tort?", "<context>\nNine.\n</context>\n\nQuestion: What is a tort?"])
def test_a_message_is_searched_once_however_long_it_is(ask: str, size: int, searched: list[str]) -> None:
    """It comes again in each further step of its turn, and in each later turn of its conversation."""
    finder, content = AskFinder(), f"{ask} {'b' * size}"
    first = read(finder, user(content))
    assert [read(finder, user(content)).ask for _ in range(2)] == [first.ask] * 2
    assert read(AskFinder(), user(content)).ask == first.ask
    assert searched == [content[:20]] * 2  # once by each finder


@pytest.mark.parametrize("size", [0, 40 * KIB])
def test_so_is_one_without_an_ask(size: int, searched: list[str]) -> None:
    finder = AskFinder()
    said = [user("What is a tort?"), user(f"<system-reminder>\n{'a' * size}\n</system-reminder>")]
    asked = [read(finder, *said) for _ in range(3)]
    assert {one.text for one in asked} == {"What is a tort?"}
    assert sorted(searched) == ["<system-reminder>\naa" if size else "<system-reminder>\n\n<", "What is a tort?"]


def test_so_is_a_prompt(searched: list[str]) -> None:
    finder = AskFinder()
    for prompts in ("What is a tort?", ["What is a tort?", "b" * 40 * KIB], ["b" * 40 * KIB]):
        assert read(finder, api=COMPLETIONS, prompt=prompts).ask == read(finder, api=COMPLETIONS, prompt=prompts).ask
    assert searched == ["What is a tort?", "b" * 20]


@pytest.mark.parametrize("size", [KIB, 40 * KIB, 100 * KIB])
def test_a_message_is_known_by_all_its_bytes(size: int) -> None:
    """Also where length and ends are those of another."""
    finder = AskFinder()
    for middle in ("b", "c", "b"):
        text = f"{'a' * size}{middle}{'a' * size}"
        assert read(finder, user(text)).text == text


@pytest.mark.parametrize("api", [CHAT, MESSAGES])
def test_under_another_system_prompt_it_is_another_message(api: Format) -> None:
    """That may make a helper task of it."""
    title = "Generate a concise title of at most five words for the conversation below. Answer with the title alone."
    kinds = []
    finder = AskFinder()
    for prompt in ("Be brief.", title, "Be brief.", title):
        above = {"system": prompt} if api is MESSAGES else {}
        messages = [user("What is a tort?")] if api is MESSAGES else [system(prompt), user("What is a tort?")]
        kinds.append(read(finder, *messages, api=api, **above).ask.kind)
    assert kinds == [AskKind.MESSAGE, AskKind.HELPER_TASK] * 2


def test_nothing_is_known_under_a_system_prompt_that_is_too_long_to_compare() -> None:
    finder = AskFinder()
    read(finder, system([{"type": "text", "text": "a" * 65 * KIB}]), user("What is a tort?"))
    assert len(finder.memory.asks) == 0


def test_a_message_an_ask_and_a_message_without_an_ask_of_the_same_words_are_not_confused() -> None:
    finder = AskFinder()
    finder.remember(("a",), b"", Ask("of texts", AskKind.ASK))
    finder.remember(b"a", b"", Ask("of a content", AskKind.ASK))
    asks = [finder.recall(("a",), b""), finder.recall(b"a", b""), finder.whole(["a"])]
    assert [ask.text for ask in asks if ask] == ["of texts", "of a content", "a"]


def test_an_earlier_message_that_is_remembered_is_not_searched_again(searched: list[str]) -> None:
    """Each was the last of an earlier request, whatever its length."""
    finder = AskFinder()
    reader = HistoryReader(finder)
    said = [user("What is a tort?"), {"role": "assistant", "content": "A wrong."}, user("b" * 300 * KIB)]
    said += [{"role": "assistant", "content": "That is long."}, user("Is it a crime?")]
    for length in (1, 3, 5, 5):
        request = read(finder, *said[:length])
        history = finish(reader.read(request.messages, request.ask, request.asked))
        assert len(history.turns) == (length + 1) // 2
    assert searched == ["What is a tort?", "b" * 20, "Is it a crime?"]


# --- bounds -------------------------------------------------------------------------------------------------------


def digest(text: str) -> MessageDigest:
    return MessageDigest(b"0" * 16, text)


def table(max_bytes: int) -> SizedTable[MessageDigest]:
    return SizedTable(max_bytes, digest_bytes)


def test_the_oldest_is_forgotten_first() -> None:
    digests = table(MIB)
    for number in range(5_000):
        digests.put(number, digest("a" * 400))
    known = [number for number in range(5_000) if digests.get(number) is not None]
    assert known == list(range(5_000))[-len(known) :]
    assert 1_300 < len(known) < 1_400


def test_one_that_is_used_is_not_forgotten() -> None:
    digests = table(MIB)
    for number in range(5_000):
        digests.put(number, digest("a" * 400))
        assert digests.get(0) is not None
    assert digests.get(1) is None


def test_neither_is_an_ask_nor_an_earlier_message_that_comes_with_each_request(searched: list[str]) -> None:
    finder = AskFinder()
    reader = HistoryReader(finder)
    said = [user("What is a tort?"), user("Is it a crime?")]
    for number in range(20_000):
        finder.remember(b"%d" % number, b"", Ask("q" * 100, AskKind.ASK))
        finder.memory.digests.put(number, digest("a" * 400))
        if number % 1_000 == 0:
            request = read(finder, *said)
            finish(reader.read(request.messages, request.ask, request.asked))
    assert finder.recall(b"0", b"") is None
    assert searched == ["Is it a crime?", "What is a tort?"]


def test_what_comes_twice_counts_once() -> None:
    digests = table(64 * KIB)
    for number in range(1_000):
        digests.put(number % 10, digest("a"))
    assert len(digests) == 10
    digests.put(10, digest("a"))
    assert len(digests) == 11


def test_one_that_takes_a_quarter_is_not_remembered_and_drives_out_no_other() -> None:
    asks: SizedTable[Ask] = SizedTable(MIB, ask_bytes)
    asks.put(0, Ask("a", AskKind.ASK))
    for number in range(20):
        asks.put(number, Ask("a" * 256 * KIB, AskKind.ASK))
    assert len(asks) == 0
    asks.put(1, Ask("a", AskKind.ASK))
    asks.put(2, Ask("a" * 256 * KIB, AskKind.ASK))
    assert len(asks) == 1


def test_there_is_room_for_4096_digests_and_as_many_short_asks() -> None:
    memory = MessageMemory()
    for number in range(4_096):
        memory.digests.put(number, digest("a" * 400))
        memory.asks.put(number, Ask("a" * 100, AskKind.ASK))
    assert len(memory.digests) == len(memory.asks) == 4_096


def test_a_message_without_an_ask_is_remembered_without_its_content() -> None:
    """Such as a tool's output, of which an agent's request has many."""
    finder = AskFinder()
    outputs = [f"<output>\n{number} {'error value file line ' * 1_400}\n</output>" for number in range(200)]
    tracemalloc.start()
    try:
        for output in outputs:
            read(finder, user("What is a tort?"), user(output))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(finder.memory.asks) == 201
    assert taken < 200 * KIB


@pytest.mark.thorough
@pytest.mark.parametrize("letter", ["a", "\u00e9", "\u4e00", "\U0001f600"])
@pytest.mark.parametrize("characters", [0, 300, 400, 4_000])
def test_all_together_take_no_more_than_eight_mebibytes(letter: str, characters: int) -> None:
    tracemalloc.start()
    try:
        memory = MessageMemory()
        for number in range(30_000):
            text = f"{number}{letter * characters}{number}"
            memory.digests.put(hash(text), MessageDigest(b"%016d" % number, text[:400]))
            memory.asks.put(hash(text), Ask(text, AskKind.ASK, steps=(AskStep("taken", number, 2 * number),)))
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(memory.asks) > 100
    assert len(memory.digests) > 2_000
    assert taken < 8 * MIB


def test_so_they_do_when_histories_are_read() -> None:
    """Of long messages as well, which drive out nothing that a history needs."""
    finder = AskFinder()
    reader = HistoryReader(finder)
    for number in range(300):
        request = read(finder, user(f"{number} before"), user(f"{number} {'What is a tort? ' * 2_000}"))
        finish(reader.read(request.messages, request.ask, request.asked))
    assert len(finder.memory.digests) == 600
    assert 20 < len(finder.memory.asks) < 80

"""What is remembered of messages, and how much."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import msgspec
import pytest

from pointsman.formats import CHAT, COMPLETIONS, MESSAGES, Format
from pointsman.routing.ask import Ask, AskFinder, AskKind
from pointsman.routing.history import HistoryReader
from pointsman.routing.message_memory import KnownAsk, MessageDigest, MessageMemory, SizedTable, key_of
from pointsman.routing.parsed_request import ParsedRequest, parse_request
from pointsman.routing.steps import Steps, finish

KIB, MIB = 1024, 1024 * 1024


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def system(content: Any) -> dict[str, Any]:
    return {"role": "system", "content": content}


def content(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


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


def test_a_role_or_an_ask_of_the_same_words_is_something_else() -> None:
    keys = {key_of(kind, said, client) for kind in ("user", "ask") for said in (b"a", "ab", ("a",)) for client in "xy"}
    assert len(keys) == 12


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        pytest.param("a" * 31 + "b" + "a" * 32, "a" * 31 + "c" + "a" * 32, False, id="the 33rd byte from the start"),
        pytest.param("a" * 30 + "b" + "a" * 33, "a" * 30 + "c" + "a" * 33, True, id="the 32nd byte from the start"),
        pytest.param("a" * 32 + "b" + "a" * 31, "a" * 32 + "c" + "a" * 31, False, id="the 33rd byte from the end"),
        pytest.param("a" * 33 + "b" + "a" * 30, "a" * 33 + "c" + "a" * 30, True, id="the 32nd byte from the end"),
        pytest.param("a" * 64, "a" * 65, True, id="the length"),
    ],
)
def test_of_messages_that_agree_in_length_and_ends_the_last_is_known(one: str, other: str, both: bool) -> None:
    finder = AskFinder()
    for text in (one, other):
        finder.remember(content(text), b"", Ask(text, AskKind.MESSAGE))
    assert finder.recall(content(other), b"") == Ask(other, AskKind.MESSAGE)
    assert (finder.recall(content(one), b"") is not None) is both


# --- bounds -------------------------------------------------------------------------------------------------------


def digest(text: str) -> MessageDigest:
    return MessageDigest(b"0" * 16, text)


def test_the_oldest_is_forgotten_first() -> None:
    digests: SizedTable[MessageDigest] = SizedTable(MIB)
    keys = [key_of("user", str(number), "") for number in range(5_000)]
    for key in keys:
        digests.put(key, digest("a" * 400))
    known = [key for key in keys if digests.get(key) is not None]
    assert known == keys[-len(known) :]
    assert 1_000 < len(known) < 1_200


def test_what_comes_twice_counts_once() -> None:
    digests: SizedTable[MessageDigest] = SizedTable(64 * KIB)
    for number in range(1_000):
        digests.put(key_of("user", str(number % 10), ""), digest("a"))
    assert len(digests) == 10
    digests.put(key_of("user", "10", ""), digest("a"))
    assert len(digests) == 11


def test_one_that_takes_a_quarter_is_not_remembered_and_drives_out_no_other() -> None:
    asks: SizedTable[KnownAsk] = SizedTable(MIB)
    asks.put(key_of("ask", "a", ""), KnownAsk(b"", Ask("a", AskKind.ASK)))
    for number in range(20):
        asks.put(key_of("ask", str(number), ""), KnownAsk(b"", Ask("a" * 256 * KIB, AskKind.ASK)))
    assert len(asks) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("letter", ["a", "\u00e9", "\u4e00"])
@pytest.mark.parametrize("characters", [0, 400, 4_000])
def test_all_together_take_no_more_than_five_mebibytes(letter: str, characters: int) -> None:
    tracemalloc.start()
    try:
        memory = MessageMemory()
        for number in range(10_000):
            text = f"{number}{letter * characters}{number}"
            memory.digests.put(key_of("user", text, ""), digest(text[:400]))
            one = KnownAsk(b"", Ask(text, AskKind.MESSAGE), content(text).copy())
            memory.asks.put(key_of("ask", text.encode(), ""), one)
        taken = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(memory.asks) > 50
    assert len(memory.digests) > 900
    assert taken < 5.4 * MIB


def test_so_they_do_when_histories_are_read() -> None:
    """Of long messages as well, which drive out nothing that a history needs."""
    finder = AskFinder()
    reader = HistoryReader(finder)
    for number in range(300):
        request = read(finder, user(f"{number} before"), user(f"{number} {'What is a tort? ' * 2_000}"))
        finish(reader.read(request.messages, request.ask, request.asked))
    assert len(finder.memory.digests) == 600
    assert 20 < len(finder.memory.asks) < 60


def test_of_a_long_message_that_is_the_ask_no_text_is_kept() -> None:
    finder = AskFinder()
    for number in range(50):
        assert len(read(finder, user(f"{number} {'a' * 260 * KIB}")).text) > 200 * KIB
    assert [one.ask.text for one in finder.memory.asks._entries.values()] == [""] * 50

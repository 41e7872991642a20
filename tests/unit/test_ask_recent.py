"""What was asked in the messages that were read last."""

from __future__ import annotations

import msgspec
import pytest

from pointsman.routing.ask import Ask, AskKind
from pointsman.routing.ask.recent import AskCache

KIB = 1024


def content(text: str) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(text))


def ask(text: str) -> Ask:
    return Ask(text, AskKind.MESSAGE)


def test_a_message_is_known_by_all_its_bytes() -> None:
    """Also where length and ends are those of another."""
    one, other = ("a" * KIB + middle + "a" * KIB for middle in "bc")
    asks = AskCache()
    asks.put(content(one), b"", ask(one))
    assert asks.get(content(one), b"") == ask(one)
    assert asks.get(content(other), b"") is None
    asks.put(content(other), b"", ask(other))
    assert asks.get(content(other), b"") == ask(other)
    assert asks.get(content(one), b"") is None


def test_under_another_system_prompt_it_is_another_message() -> None:
    """That may make a helper task of it."""
    asks = AskCache()
    asks.put(content("a"), b"Be brief.", ask("a"))
    assert asks.get(content("a"), b"Write a title.") is None
    assert asks.get(content("a"), b"Be brief.") == ask("a")


def test_two_mebibytes_are_known_and_the_oldest_is_forgotten() -> None:
    asks = AskCache()
    texts = [f"{number:03}" + "a" * (100 * KIB - 5) for number in range(100)]
    for text in texts:
        asks.put(content(text), b"", ask(text))
        asks.get(content(texts[0]), b"")  # comes again and again
    known = [number for number, text in enumerate(texts) if asks.get(content(text), b"") is not None]
    assert known == [0, *range(81, 100)]


def test_however_short_they_are_a_thousand_are_known() -> None:
    asks = AskCache()
    for number in range(5_000):
        asks.put(content(str(number)), b"", ask("a"))
    assert 1_000 < len(asks._entries) < 1_024


def test_system_prompts_count_and_what_comes_twice_counts_once() -> None:
    asks = AskCache()
    for number in range(100):
        asks.put(content(f"{number % 10}"), b"a" * 200 * KIB, ask("a"))
    assert len(asks._entries) == 10
    asks.put(content("10"), b"a" * 200 * KIB, ask("a"))
    assert len(asks._entries) == 10


def test_an_entry_takes_two_kibibytes_beside_its_bytes() -> None:
    """For the steps by which the ask was found."""
    quarter = 510 * KIB - 2
    for system, known in ((b"", True), (b"a", False)):
        asks = AskCache()
        for letter in "abcd":
            asks.put(content(letter * quarter), system if letter == "d" else b"", ask(letter))
        assert (asks.get(content("a" * quarter), b"") is not None) is known


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
    asks = AskCache()
    for text in (one, other):
        asks.put(content(text), b"", ask(text))
    assert asks.get(content(other), b"") == ask(other)
    assert (asks.get(content(one), b"") == ask(one)) is both


@pytest.mark.parametrize(("size", "known"), [(512, True), (513, False)])
def test_of_a_very_long_message_nothing_is_kept(size: int, known: bool) -> None:
    """To copy it would take long."""
    asks = AskCache()
    text = "a" * (size * KIB - 2)
    asks.put(content(text), b"", ask(text))
    assert (asks.get(content(text), b"") is not None) is known


def test_nor_under_a_system_prompt_that_is_too_long_to_compare() -> None:
    asks = AskCache()
    asks.put(content("a"), None, ask("a"))
    assert asks.get(content("a"), None) is None
    assert asks._bytes == 0

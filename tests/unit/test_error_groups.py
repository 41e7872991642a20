"""What is told of the latest errors: by what they are, and not one by one."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from pointsman.observability.error_groups import ErrorGroups, kind_of
from pointsman.observability.record import Record
from support.growth import growth_of


def failed(status: int = 500, error: str | None = "why", *, at: float = 1.0, model: str = "", **fields: Any) -> Record:
    record = Record(fields.pop("name", "id"), "/v1/chat/completions", status=status, error=error, ended=at, **fields)
    if model:
        routed: Any = SimpleNamespace(decision=SimpleNamespace(model=model))
        record.routed = routed
    return record


def groups(*records: Record) -> ErrorGroups:
    found = ErrorGroups()
    for record in records:
        found.add(record)
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("no such request: 3c1f5e-77ab", "no such request: a91b"),
        ("10.0.0.7:8000 closed the connection after 12 bytes", "10.0.0.8:8000 closed the connection after 9,001 bytes"),
        ("the model `gpt-4o` does not exist", "the model `somebody's` does not exist"),
        ("field 'a b' is unknown", "field 'it' is unknown"),
        ('bad value "x" in chatcmpl-8d', 'bad value "\\u2028" in chatcmpl-9'),
        ("GET /v1/x: Not Found", "GET /../etc/passwd: Not Found"),
        ("at gpu-1.example:8000", "at gpu-2.example:80"),
    ],
)
def test_ids_numbers_names_and_paths_make_no_other_error(one: str, other: str) -> None:
    assert kind_of(one) == kind_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("the model does not answer", "the model does not exist"),
        ("it's the client's fault", "it's the server's fault"),
        ("GET / is no path", "GET / is no way"),
    ],
)
def test_other_words_are_another_error(one: str, other: str) -> None:
    assert kind_of(one) != kind_of(other)


def test_an_error_is_told_once_with_how_often_its_newest_time_its_models_and_keys() -> None:
    found = groups(
        failed(404, "model `a` is unknown", at=1.0, name="first", original_model="a", key="ann"),
        failed(500, None, at=2.0, name="second", model="legal-lora", endpoint="gpu-1"),
        failed(404, "model `b` is unknown", at=3.0, name="third", original_model="b", key="ann"),
        failed(404, "model `a` is unknown", at=4.0, name="fourth", original_model="a", key="ben"),
        failed(400, "model `b` is unknown", at=5.0, name="fifth"),
    )
    client, unknown, vllm = found.all()
    assert (client.status, client.times) == (400, 1)
    assert (unknown.status, unknown.error, unknown.times) == (404, "model … is unknown", 3)
    assert (unknown.since, unknown.at, unknown.request_id) == (1.0, 4.0, "fourth")
    assert (unknown.models, unknown.keys) == ({"a": 2, "b": 1}, {"ann": 2, "ben": 1})
    assert (vllm.error, vllm.models, vllm.endpoints) == (None, {"legal-lora": 1}, {"gpu-1": 1})


def test_of_a_hundred_kinds_the_last_fifty_are_kept() -> None:
    words = [f"{one}{other}" for one in "abcdefghij" for other in "abcdefghij"]
    found = groups(*(failed(error=word, at=float(at)) for at, word in enumerate([*words, words[60]])))
    newest, *others = found.all()
    assert (newest.error, newest.times) == (words[60], 2)
    assert [one.error for one in others] == [*words[:60:-1], *words[59:49:-1]]


def test_of_many_models_and_keys_eight_each_are_told_apart() -> None:
    found = groups(*(failed(404, original_model=f"m{number}", key=f"k{number}") for number in range(20)))
    (one,) = found.all()
    assert one.models == {f"m{number}": 1 for number in range(8)} | {"other": 12}
    assert one.keys == {f"k{number}": 1 for number in range(8)} | {"other": 12}


@pytest.mark.thorough
def test_whatever_clients_write_the_errors_take_two_megabytes() -> None:
    found = ErrorGroups()
    tracemalloc.start()
    try:
        for number in range(1000):
            word = "".join(chr(ord("a") + int(digit)) for digit in str(number)).ljust(2_000, "\u00e9")
            found.add(failed(404, word, original_model=word, key=word[:64], name=word[:128]))
            for other in range(10):
                found.add(failed(404, word, original_model=f"{other}{word}", key=f"{other}{word[:60]}"))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size < 2e6


@pytest.mark.parametrize("unit", ["a", "a-", "'a ", "`a", '"a ', "/a ", "a.b", "1", "''", " '"])
def test_a_message_is_read_once(unit: str) -> None:
    def reading(size: int) -> Callable[[], str]:
        text = unit * (size // len(unit))
        return lambda: kind_of(text)

    assert not growth_of(reading, 40_000).fault

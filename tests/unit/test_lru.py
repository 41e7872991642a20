"""The bounded table."""

from __future__ import annotations

import pytest

from pointsman.lru import Lru


def filled(capacity: int, keys: str) -> Lru[str, int]:
    table: Lru[str, int] = Lru(capacity)
    for value, key in enumerate(keys):
        table.put(key, value)
    return table


def test_what_was_put_is_there_and_nothing_else() -> None:
    table = filled(2, "ab")
    assert [table.get(key) for key in "abc"] == [0, 1, None]


@pytest.mark.parametrize("capacity", [0, 1, 3, 10])
def test_it_never_holds_more_than_its_capacity(capacity: int) -> None:
    table = filled(capacity, "abcdefgh")
    assert len(table) == min(capacity, 8)
    assert [key for key in "abcdefgh" if table.get(key) is not None] == list("abcdefgh"[8 - len(table) :])


@pytest.mark.parametrize(("capacity", "evicted"), [(0, 0), (1, 7), (3, 5), (8, 0)])
def test_it_counts_what_made_room(capacity: int, evicted: int) -> None:
    assert filled(capacity, "abcdefgh").evicted == evicted


def test_the_least_recently_read_is_forgotten_first() -> None:
    table = filled(3, "abc")
    table.get("a")
    table.put("d", 3)
    assert [table.get(key) for key in "abcd"] == [0, None, 2, 3]


def test_putting_again_replaces_and_is_a_use() -> None:
    table = filled(2, "ab")
    table.put("a", 5)
    assert (len(table), table.evicted) == (2, 0)
    table.put("c", 6)
    assert [table.get(key) for key in "abc"] == [5, None, 6]


def test_a_value_that_is_false_is_a_value() -> None:
    table = filled(2, "a")
    assert table.get("a") == 0
    assert len(table) == 1


def test_a_table_that_shrinks_forgets_the_oldest() -> None:
    table: Lru[str, int] = Lru(3)
    for number, key in enumerate("abc"):
        table.put(key, number)
    table.get("a")
    table.resize(2)
    assert [table.get(key) for key in "abc"] == [0, None, 2]
    table.put("d", 3)
    assert (len(table), table.evicted) == (2, 2)

"""A table of examples as one test."""

from __future__ import annotations

import asyncio
import inspect

import pytest

from support.rows import rows


def test_it_fails_with_each_row_that_fails() -> None:
    @rows(("number", "even"), [(1, False), (2, False), (3, True), pytest.param(4, False, id="four")])
    def test(number: int, even: bool) -> None:
        assert (number % 2 == 0) is even

    with pytest.raises(ExceptionGroup, match="3 of 4 rows fail") as caught:
        test()
    told = [error.__notes__ for error in caught.value.exceptions]
    assert told == [
        ["in the row {'number': 2, 'even': False}"],
        ["in the row {'number': 3, 'even': True}"],
        ["in the row four"],
    ]


def test_a_row_that_does_not_raise_is_one_of_those_that_fail() -> None:
    @rows("text", ["1", "x", "2"])
    def test(text: str) -> None:
        with pytest.raises(ValueError, match="invalid literal"):
            int(text)

    with pytest.raises(ExceptionGroup, match="2 of 3 rows fail") as caught:
        test()
    assert [error.__notes__ for error in caught.value.exceptions] == [
        ["in the row {'text': '1'}"],
        ["in the row {'text': '2'}"],
    ]


def test_two_tables_give_each_pair_of_their_rows_and_fixtures_come_from_pytest() -> None:
    seen = []

    @rows("left", [1, 2])
    @rows("right", ["a", "b"])
    def test(fixture: str, left: int, right: str) -> None:
        seen.append((fixture, left, right))

    assert list(inspect.signature(test).parameters) == ["fixture"]
    test(fixture="x")
    assert seen == [("x", 1, "a"), ("x", 1, "b"), ("x", 2, "a"), ("x", 2, "b")]


async def test_so_does_a_coroutine() -> None:
    @rows("number", [1, 2, 3])
    async def test(number: int) -> None:
        await asyncio.sleep(0)
        assert number == 2

    with pytest.raises(ExceptionGroup, match="2 of 3 rows fail"):
        await test()


@rows("table", [[], iter(())])
def test_a_table_without_rows_is_a_mistake(table: object) -> None:
    with pytest.raises(AssertionError, match="tests nothing"):
        rows("one", table)  # type: ignore[arg-type]

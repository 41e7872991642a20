"""Described categories are compared, each example by a head that has not seen it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pointsman.classify import described
from pointsman.classify.described import CategoryTexts
from pointsman.classify.nearness import Nearness, StrayExample, judge

WIDTH = 128
RANDOM = np.random.default_rng(7)
CENTER = RANDOM.normal(size=WIDTH)
SQL, POEMS, LETTERS, ODD, SIDE = (3 * RANDOM.normal(size=WIDTH) for _ in range(5))
DBT = SQL + 0.2 * SIDE
ORDINARY = (CENTER + RANDOM.normal(size=(300, WIDTH))).astype("f")
BEFORE = RANDOM.bit_generator.state


@pytest.fixture(autouse=True)
def _texts_do_not_depend_on_the_tests_before() -> None:
    RANDOM.bit_generator.state = BEFORE


def about(topic: np.ndarray, count: int) -> np.ndarray:
    rows: np.ndarray = CENTER + topic + 0.5 * RANDOM.normal(size=(count, WIDTH))
    return rows.astype("f")


def texts(topic: np.ndarray, count: int, *others: np.ndarray) -> CategoryTexts:
    """A description and so many examples about a topic, then one about each of the others."""
    return CategoryTexts(about(topic, 1), np.concatenate([about(topic, count), *(about(one, 1) for one in others)]))


def judged(**categories: CategoryTexts) -> Nearness:
    return judge(categories, ORDINARY)


def test_an_example_goes_where_the_others_say() -> None:
    found = judged(sql=texts(SQL, 6), poems=texts(POEMS, 6, SQL), letters=texts(LETTERS, 3))
    assert found.judged == 16
    assert found.strays == (StrayExample("poems", 6, "sql"),)


@pytest.mark.parametrize("count", [5, 30])
def test_an_example_is_judged_without_itself(count: int) -> None:
    """A head that has seen it knows it."""
    categories = {"sql": texts(SQL, count, ODD), "poems": texts(POEMS, count)}
    whole = described.fit(categories, ORDINARY, "")
    assert whole.probabilities(categories["sql"].examples[-1:]).argmax() == 0
    assert judge(categories, ORDINARY).strays == (StrayExample("sql", count, None),)


def test_the_only_example_is_judged_by_the_description() -> None:
    poems = CategoryTexts(about(POEMS, 1), about(SQL, 1))
    assert judged(sql=texts(SQL, 1), poems=poems).strays == (StrayExample("poems", 0, "sql"),)


@pytest.mark.parametrize("count", [0, 1, 6])
def test_pairs_are_listed_the_nearest_first(count: int) -> None:
    found = judged(sql=texts(SQL, count), poems=texts(POEMS, count), dbt=texts(DBT, count), letters=texts(LETTERS, 0))
    assert found.pairs[0].names == ("sql", "dbt")
    assert len(found.pairs) == 6
    assert found.pairs[0].share > 2 * found.pairs[1].share
    assert list(found.pairs) == sorted(found.pairs, key=lambda pair: -pair.share)


def test_a_description_is_near_to_who_would_get_it_if_its_category_were_not_there() -> None:
    found = judged(sql=texts(SQL, 0), poems=texts(POEMS, 6), dbt=texts(DBT, 0))
    assert found.pairs[0].names == ("sql", "dbt")
    assert found.pairs[0].share > 0.9
    assert found.pairs[1].share < 0.5


def test_the_one_with_the_fewest_examples_wants_more_and_of_these_the_nearest() -> None:
    found = judged(poems=texts(POEMS, 6), letters=texts(LETTERS, 3), sql=texts(SQL, 6), dbt=texts(DBT, 7))
    assert found.wanting == ("letters", "sql", "poems", "dbt")


def test_one_category_alone_is_near_to_none() -> None:
    found = judged(sql=texts(SQL, 0))
    assert found == Nearness(0, (), (), ("sql",))


@pytest.mark.thorough
def test_a_thousand_categories_are_compared_and_a_hundred_pairs_listed() -> None:
    rows = RANDOM.normal(size=(1001, 1, 8)).astype("f")
    found = judge({str(at): CategoryTexts(row, row[:0]) for at, row in enumerate(rows)}, rows[:300, 0])
    assert (len(found.wanting), len(found.pairs)) == (1000, 100)


@pytest.mark.thorough
def test_two_thousand_examples_take_some_seconds() -> None:
    def rows(count: int, topic: float | np.ndarray = 0.0) -> np.ndarray:
        return (topic + RANDOM.normal(size=(count, 768))).astype("f")

    topics = RANDOM.normal(size=(50, 768))
    categories = {str(at): CategoryTexts(rows(1, topic), rows(40, topic)) for at, topic in enumerate(topics)}
    started = time.process_time()
    assert judge(categories, rows(900)).judged == 2000
    assert time.process_time() - started < 60

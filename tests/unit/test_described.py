"""Described categories are told apart by the features of their texts, and from what belongs to nobody."""

from __future__ import annotations

import numpy as np
import pytest

from pointsman.classify.described import CategoryTexts, DescribedHead, _near, _units, fit

WIDTH = 128
RANDOM = np.random.default_rng(7)
CENTER = RANDOM.normal(size=WIDTH)
TOPICS = {name: RANDOM.normal(size=WIDTH) for name in ("sql", "poems", "letters")}
ORDINARY = (CENTER + RANDOM.normal(size=(300, WIDTH))).astype("f")
BEFORE = RANDOM.bit_generator.state


@pytest.fixture(autouse=True)
def _texts_do_not_depend_on_the_tests_before() -> None:
    RANDOM.bit_generator.state = BEFORE


def about(topic: str, count: int, noise: float = 0.5) -> np.ndarray:
    return (CENTER + 3 * TOPICS[topic] + noise * RANDOM.normal(size=(count, WIDTH))).astype("f")


def head(**examples: int) -> DescribedHead:
    """The head of categories with one description each, and so many examples."""
    return fit(
        {name: CategoryTexts(about(name, 1), about(name, count)) for name, count in examples.items()}, ORDINARY, ""
    )


@pytest.mark.parametrize("examples", [0, 1, 6])
def test_a_prompt_belongs_to_the_category_whose_texts_are_like_it_and_another_one_to_nobody(examples: int) -> None:
    made = head(**dict.fromkeys(TOPICS, examples))
    for position, topic in enumerate(TOPICS):
        assert (made.probabilities(about(topic, 20)).argmax(axis=1) == position).all()
    others = CENTER + RANDOM.normal(size=(100, WIDTH))
    assert (made.probabilities(others.astype("f")).argmax(axis=1) == len(TOPICS)).mean() > 0.9


def test_categories_with_and_without_examples_are_comparable() -> None:
    made = head(sql=6, poems=0, letters=1)
    for position, topic in enumerate(TOPICS):
        assert (made.probabilities(about(topic, 20)).argmax(axis=1) == position).all()


def test_the_probabilities_of_a_prompt_sum_to_one_and_depend_on_no_other_prompt() -> None:
    made, prompts = head(sql=6, poems=0), np.concatenate([about("sql", 3), about("poems", 3)])
    together = made.probabilities(prompts)
    assert together.sum(axis=1) == pytest.approx(1.0)
    assert np.concatenate([made.probabilities(prompt[None]) for prompt in prompts]) == pytest.approx(together, abs=1e-6)


def test_the_same_texts_give_the_same_head() -> None:
    texts = {name: CategoryTexts(about(name, 1), about(name, 4)) for name in TOPICS}
    prompts = about("sql", 5)
    assert np.array_equal(
        fit(texts, ORDINARY, "").probabilities(prompts), fit(texts, ORDINARY, "").probabilities(prompts)
    )


@pytest.mark.parametrize(("texts", "left_out"), [(20, True), (4, True), (3, False)])
def test_ordinary_requests_like_a_categorys_texts_do_not_count_for_nobody(texts: int, left_out: bool) -> None:
    """If there are enough texts to tell what is like them."""
    alike, unlike = (_units(rows - CENTER) for rows in (about("sql", 100), ORDINARY))
    own = _units(about("sql", texts) - CENTER)
    assert bool(_near([own], alike).mean() > 0.3) is left_out
    assert not _near([own], unlike).any()


def test_a_feature_that_never_varies_does_no_harm() -> None:
    still = ORDINARY.copy()
    still[:, 3] = 1.0
    made = fit({name: CategoryTexts(about(name, 1), about(name, 3)) for name in TOPICS}, still, "")
    assert np.isfinite(made.probabilities(about("sql", 5))).all()


def test_features_of_which_none_varies_have_a_small_deviation() -> None:
    made = fit({"sql": CategoryTexts(about("sql", 1), about("sql", 3))}, np.ones_like(ORDINARY), "")
    assert made.deviation == pytest.approx(1e-3)

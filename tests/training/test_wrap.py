"""What stands around a question that is trained on."""

from __future__ import annotations

import random

from training.data import LABELS, TrainingText
from training.sections import sections
from training.wrap import TASKS, Pool, fill_task, lines, pool, with_material, wrap

ASK = "is it contagious"
POOL = Pool({label: [f"a question about {label}"] for label in LABELS}, ())


def rng() -> random.Random:
    return random.Random(0)  # noqa: S311


def test_every_wrapper_has_one_place_for_the_question_and_some_for_material_where_it_says_so() -> None:
    found = sections("wrappers.txt")

    assert found.keys() == {"ask", "material", "speaks"}
    assert all(line.count("{ask}") == 1 for some in found.values() for line in some)
    assert not any("{material}" in line for line in found["ask"])
    assert all(1 <= line.count("{material}") <= 3 for kind in ("material", "speaks") for line in found[kind])


def test_every_task_is_about_a_question_or_about_material() -> None:
    assert all("{ask}" in line or "{material}" in line for some in sections("tasks.txt").values() for line in some)


def test_no_template_stands_in_its_file_twice() -> None:
    for name in ("wrappers.txt", "tasks.txt", "material.txt"):
        found = [line for some in sections(name).values() for line in some]
        assert len(set(found)) == len(found)


def test_every_label_has_passages_and_nothing_else_does() -> None:
    assert sections("material.txt").keys() == set(LABELS)
    assert all(len(set(some)) > 20 for some in sections("material.txt").values())


def test_each_wrapper_is_used_and_no_placeholder_is_left() -> None:
    draw = rng()
    texts = {wrap(ASK, draw) for _ in range(10_000)}

    assert texts == {line.replace("{ask}", ASK) for line in lines("wrappers.txt")["ask"]}


def test_a_question_beside_material_is_there_whole_and_once() -> None:
    draw = rng()
    texts = [with_material(ASK, "health", POOL, draw) for _ in range(2000)]

    assert all(text.count(ASK) == 1 for text in texts)
    assert not any("{material}" in text or "{ask}" in text for text in texts)


def test_half_of_the_material_is_of_the_questions_own_subject() -> None:
    draw = rng()
    texts = [with_material(ASK, "health", POOL, draw) for _ in range(4000)]
    asked = {label: sum(f"question about {label}" in text for text in texts) for label in LABELS}

    assert 0.4 < asked["health"] / sum(asked.values()) < 0.65
    assert min(asked.values()) > 0


def test_material_may_hold_the_name_of_a_place() -> None:
    """A passage about templates must not get the question."""
    draw = rng()
    odd = Pool({"health": ["write {ask} there"]}, ())
    texts = [with_material(ASK, "health", odd, draw) for _ in range(500)]

    assert all(text.count(ASK) == 1 for text in texts)


def test_a_task_gets_a_question_of_any_subject() -> None:
    draw = rng()
    texts = [fill_task("Name this chat: {ask}", POOL, draw) for _ in range(500)]

    assert {text.removeprefix("Name this chat: a question about ") for text in texts} == set(LABELS)


def test_the_templates_of_tasks_are_no_texts_to_draw_from() -> None:
    found = pool(
        [TrainingText("Name this chat: {ask}", "other", TASKS), TrainingText("hi", "other", "clinc-smalltalk")]
    )

    assert found == Pool({"other": ["hi"]}, ["hi"])

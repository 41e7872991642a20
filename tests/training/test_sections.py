"""The format of the files in `training/texts`."""

from __future__ import annotations

from training.sections import parse, sections


def test_items_stand_under_the_heading_before_them_in_the_order_of_the_file() -> None:
    assert parse("[law]\ncan I sue?\n\n[computer science]\n  why?\nhow?\n") == {
        "law": ["can I sue?"],
        "computer science": ["why?", "how?"],
    }


def test_lines_before_the_first_heading_document_the_file() -> None:
    assert parse("What this is.\n\n[law]\n#1 reason to sue\n") == {"law": ["#1 reason to sue"]}


def test_an_item_may_begin_and_end_with_brackets() -> None:
    """As templates do: a heading has letters, digits, `_` and blanks between them."""
    assert parse("[ask]\n[INST] {ask} [/INST]\n[[{ask}]]\n") == {"ask": ["[INST] {ask} [/INST]", "[[{ask}]]"]}


def test_a_heading_that_comes_again_goes_on() -> None:
    assert parse("[law]\none\n[math]\ntwo\n[law]\nthree") == {"law": ["one", "three"], "math": ["two"]}


def test_every_slot_has_choices_and_none_is_listed_twice() -> None:
    for choices in sections("slots.txt").values():
        assert len(set(choices)) == len(choices) > 1

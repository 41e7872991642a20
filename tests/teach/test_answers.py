"""What a model answers is read however it words it."""

from __future__ import annotations

import json

import pytest

from pointsman_export.teach.answers import number_in, prompts_in

TWO = ["sum by month", "join orders\nand customers"]


@pytest.mark.parametrize(
    "answer",
    [
        json.dumps({"prompts": TWO}),
        json.dumps(TWO),
        f"Sure! Here they are:\n```json\n{json.dumps({'prompts': TWO}, indent=2)}\n```\nLet me know.",
        json.dumps({"prompts": [{"text": one} for one in TWO]}),
        json.dumps({"prompts": [*TWO, "cut off in the mi"]})[:-8],
        '{"prompts": ["sum by month", "join orders\\nand customers"',
    ],
)
def test_json_is_found_in_a_fence_within_prose_and_cut_off(answer: str) -> None:
    assert prompts_in(answer) == TWO


@pytest.mark.parametrize(
    "answer",
    [
        "Here are some:\n1. sum by month\n2) join orders",
        "- sum by month\n* join orders",
        " sum by month\n2. join orders",  # as the continuation of "1."
        '1. "sum by month"\n2. "join orders"',
    ],
)
def test_a_list_is_taken_where_there_is_no_json(answer: str) -> None:
    assert prompts_in(answer) == ["sum by month", "join orders"]


@pytest.mark.parametrize("answer", ["", "I cannot help with that.", "{", "[[[[" * 20_000, '{"prompts": 7}', "\x00"])
def test_what_has_no_prompts_gives_none(answer: str) -> None:
    assert prompts_in(answer) == []


def test_an_answer_gives_ten_prompts_at_most() -> None:
    assert len(prompts_in(json.dumps({"prompts": [f"number {i}" for i in range(500)]}))) == 10


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ('{"number": "3"}', 3),
        ('{"number": 3}', 3),
        ("3", 3),
        ("Assistant 3, as it writes SQL.", 3),
        ('{"number": "none"}', 0),
        ("None of the 12.", 0),
        ("13", None),
        ("0", None),
        ("I am not sure", None),
        ("", None),
    ],
)
def test_a_number_or_none_is_read_and_nothing_else(answer: str, number: int | None) -> None:
    assert number_in(answer, 12) == number

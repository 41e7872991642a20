"""What changed between two configs is told by key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pointsman.config.changes import changes
from pointsman.config.model import Config, Lora, Model
from support.toy_config import BASE, A, B, category, config, entry

BEFORE = config()
MEDICAL = next(item for item in BEFORE.categories if item.name == "medical")


def changed_values(after: Config, before: Config = BEFORE) -> list[tuple[str, Any, Any]]:
    return [(change.path, change.old, change.new) for change in changes(before, after)]


def test_nothing_changed_where_all_is_equal() -> None:
    assert changed_values(config()) == []


def test_a_value_is_told_with_the_key_that_leads_to_it() -> None:
    assert changed_values(config(threshold=0.7)) == [("classifier.category_model.threshold", 0.6, 0.7)]


def test_things_that_have_a_name_are_compared_by_it_wherever_they_stand() -> None:
    changed = replace(MEDICAL, system_prompt="Be brief.")
    categories = tuple(changed if item is MEDICAL else item for item in BEFORE.categories)
    assert changed_values(replace(BEFORE, categories=categories)) == [
        ("categories[medical].system_prompt", "", "Be brief.")
    ]


def test_what_comes_or_goes_is_told_whole() -> None:
    gone = {"name": "a", "address": "127.0.0.1", "port": 8000, "weight": 1.0}
    assert changed_values(config(endpoints=(B,))) == [
        ("vllm_endpoints[a]", gone, None),
        ("vllm_endpoints[b]", None, gone | {"name": "b", "port": 8001}),
    ]


def test_another_order_is_told_for_it_decides_ties() -> None:
    assert changed_values(config(endpoints=(B, A)), config(endpoints=(A, B))) == [
        ("vllm_endpoints", ["a", "b"], ["b", "a"])
    ]


def test_the_keys_of_a_mapping_stand_in_brackets() -> None:
    after = replace(BEFORE, model_config={**BEFORE.model_config, "org/Other-1.5": Model(loras=(Lora(name="x"),))})
    assert [path for path, _, _ in changed_values(after)] == ["model_config[org/Other-1.5]"]
    assert changed_values(BEFORE, after)[0][2] is None


@pytest.mark.parametrize("scores", [(0.5,), (1.0, 0.5)], ids=["another", "one more"])
def test_a_list_of_things_without_names_is_told_whole(scores: tuple[float, ...]) -> None:
    before = config(category("technical"))
    after = config(category("technical", *(entry("technical-lora", score) for score in scores)))
    ((path, old, new),) = changed_values(after, before)
    assert (path, len(old), [item["score"] for item in new]) == ("categories[technical].model_scores", 1, list(scores))


def test_a_long_text_is_cut() -> None:
    prompt = "x" * 201
    ((_, _, new),) = changed_values(config(category("technical", system_prompt=prompt)), config(category("technical")))
    assert new == "x" * 200 + "…"


def test_a_long_list_is_cut() -> None:
    labels = tuple(f"label {number}" for number in range(21))
    ((_, _, new),) = changed_values(config(category("sql", labels=labels)), config(category("sql")))
    assert new == [*labels[:20], "…"]


def test_examples_are_counted_and_never_told() -> None:
    """They are prompts, which the log does not have."""
    none, two = config(category("sql")), config(category("sql", examples=("a prompt", "another")))
    assert changed_values(two, none) == [("categories[sql].examples", "(0 examples)", "(2 examples)")]
    found = {path: new for path, _, new in changed_values(two, config(category("law")))}
    assert found["categories[sql]"]["examples"] == "(2 examples)"


def test_the_first_of_a_list_and_the_last_are_told_as_any_other() -> None:
    bare = replace(BEFORE, model_config={BASE: Model(reasoning_family="qwen3")})
    assert [path for path, _, _ in changed_values(BEFORE, bare)] == [
        f"model_config[{BASE}].loras[{name}-lora]" for name in ("technical", "medical", "legal")
    ]

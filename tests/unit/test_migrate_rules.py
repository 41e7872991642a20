"""Which decision wins a domain, when nothing but the domain of a prompt is known."""

from __future__ import annotations

import pytest

from pointsman.config import yaml_tree as tree
from pointsman.migration.rule import confidence, others


def rule(text: str) -> tree.Node:
    root = tree.parse("rules: " + text).root
    assert root is not None
    return root.entries["rules"]


LAW = "{type: domain, name: law}"
URGENT = "{type: keyword, name: urgent}"


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        (LAW, True),
        ("{type: domain, name: math}", False),
        (URGENT, False),
        (f"{{operator: AND, conditions: [{LAW}]}}", True),
        (f"{{operator: and, conditions: [{LAW}, {URGENT}]}}", False),
        (f"{{operator: OR, conditions: [{LAW}, {URGENT}]}}", True),
        (f"{{conditions: [{URGENT}, {LAW}]}}", True),
        (f"{{operator: NOT, conditions: [{URGENT}]}}", True),
        (f"{{operator: NOT, conditions: [{LAW}]}}", False),
        (f"{{operator: NOT, conditions: [{URGENT}, {URGENT}]}}", False),
        (f"{{operator: AND, conditions: [{LAW}, {{operator: NOT, conditions: [{URGENT}]}}]}}", True),
        ("{operator: AND, conditions: []}", True),
        ("{operator: OR, conditions: []}", False),
        ("{}", True),
        ("{type: domain, name: law, predicate: {gte: 0.5}}", False),
    ],
)
def test_a_signal_that_pointsman_has_not_never_matches(text: str, matches: bool) -> None:
    assert (confidence(rule(text), lambda name: name == "law") is not None) is matches


def test_a_rule_without_conditions_is_less_sure_than_a_domain_and_a_domain_than_a_not() -> None:
    found = [
        confidence(rule(text), lambda name: name == "law")
        for text in ("{operator: AND, conditions: []}", LAW, f"{{operator: NOT, conditions: [{URGENT}]}}")
    ]

    assert found == sorted(found, key=lambda one: one or 0.0)
    assert len(set(found)) == 3


def test_other_signals_are_named_once() -> None:
    assert others(rule(f"{{operator: OR, conditions: [{URGENT}, {LAW}, {URGENT}]}}")) == ["keyword urgent"]

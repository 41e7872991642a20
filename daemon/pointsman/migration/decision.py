"""Read `decisions`, and find the one that semantic-router would choose for a prompt of a domain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pointsman.config.yaml_tree import Items, Node, Table
from pointsman.migration import reference, rule
from pointsman.migration.models import Models
from pointsman.migration.nodes import children, find, number, text
from pointsman.migration.note import Notes

_CONFIDENCE = "confidence"


@dataclass(frozen=True, slots=True)
class RouterDecision:
    """A decision that has at least one model."""

    node: Table
    name: str
    rules: Node | None
    answers: Items


def read(node: Node, models: Models, notes: Notes) -> RouterDecision | None:
    """Return a decision and its models; None, with a note, if it has none."""
    if not isinstance(node, Table):
        notes.dropped(node, "expected a mapping with name, rules and modelRefs")
        return None
    name = text(node, "name") or f"line {node.line}"
    references = children(node, "modelRefs") or children(node, "model_refs")
    if not references:
        notes.dropped(node, f'the decision "{name}" names no model: Pointsman cannot answer a prompt itself')
        return None
    answers = reference.rewrite(find(node, "modelRefs") or node, references, models, notes)
    if answers is None:
        notes.dropped(node, f'the decision "{name}": none of its models is kept')
        return None
    return RouterDecision(node, name, find(node, "rules"), answers)


def winner(
    decisions: Sequence[RouterDecision], strategy: str, is_domain: Callable[[str], bool]
) -> RouterDecision | None:
    """Return the decision for a prompt: by tier if any is set, or else by priority or confidence."""
    sure = ((rule.confidence(one.rules, is_domain), one) for one in decisions)
    matched = [(found, one) for found, one in sure if found is not None]
    tiered = any(_rank(one, "tier") > 0 for _, one in matched)

    def order(candidate: tuple[float, RouterDecision]) -> tuple[float, float, float, str]:
        found, one = candidate
        by_priority = not tiered and strategy != _CONFIDENCE
        first, second = (_rank(one, "priority"), found) if by_priority else (found, _rank(one, "priority"))
        return _rank(one, "tier") if tiered else 0, -first, -second, one.name

    return min(matched, key=order)[1] if matched else None


def comes_before(
    one: RouterDecision, other: RouterDecision, decisions: Sequence[RouterDecision], strategy: str
) -> bool:
    """Return whether a decision wins over another one whenever both match, however sure each is."""
    if any(_rank(each, "tier") > 0 for each in decisions):
        return _rank(one, "tier") < _rank(other, "tier")
    return strategy != _CONFIDENCE and _rank(one, "priority") > _rank(other, "priority")


def in_order(decisions: Sequence[RouterDecision]) -> list[RouterDecision]:
    """Return the decisions by tier and priority."""
    return sorted(decisions, key=lambda one: (_rank(one, "tier"), -_rank(one, "priority"), one.name))


def _rank(one: RouterDecision, key: str) -> float:
    return number(one.node, key) or 0

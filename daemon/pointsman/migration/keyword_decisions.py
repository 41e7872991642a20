"""Turn decisions into rules of routing, as far as keywords alone fulfill them.

Other signals of a decision never match, as in `rule`; only the classifier knows a domain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

from pointsman.config.yaml_tree import Node, Table
from pointsman.migration import decision, rule
from pointsman.migration.decision import RouterDecision
from pointsman.migration.keyword_signals import Signals, alternatives, conditions
from pointsman.migration.nodes import changed, children, items, scalar, table, text
from pointsman.migration.note import Notes

IsDomain = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class DecisionRules:
    """A decision without the part that rules replace, and the conditions of these rules."""

    rest: RouterDecision
    conditions: tuple[Mapping[str, Node], ...] = ()


def ruled(
    decisions: Sequence[RouterDecision], strategy: str, prompts: Sequence[IsDomain], signals: Signals, notes: Notes
) -> list[DecisionRules]:
    """Return the part of each decision that rules can express; notes name the other parts.

    Rules decide before the classifier does. So a decision after one about a domain, which is not known by then, has no
    rules; `prompts` has a prompt of each domain.
    """
    found = {id(one): DecisionRules(one) for one in decisions}
    matches = {id(one): _matches(one, prompts) for one in decisions}
    used: set[str] = set()
    for one in decision.in_order(decisions):
        needed = [signs for signs in alternatives(one.rules, signals) if signs]
        rivals = (other for other in decisions if other is not one and matches[id(other)])
        first = next((other for other in rivals if not decision.comes_before(one, other, decisions, strategy)), None)
        if needed and first is not None:
            message = f'the keywords of "{one.name}": "{first.name}" comes first, or may, for domains'
            notes.dropped(one.node, f"{message}, which are not known before the classifier is asked")
            continue
        made = []
        for signs in needed:
            names = list(dict.fromkeys(signal.name for signal in signs))
            if (said := conditions(one.node, signs)) is None:
                message = f"the keywords {' and '.join(names)}, which one rule cannot have together"
                notes.dropped(one.node, f'in "{one.name}" {message}')
                continue
            made.append(said)
            used.update(names)
        rest = replace(one, rules=_without(one.rules, signals))
        found[id(one)], matches[id(one)] = DecisionRules(rest, tuple(made)), _matches(rest, prompts)
    for signal in signals.values():
        if signal.name not in used:
            notes.dropped(signal.node, f'the keywords "{signal.name}" are in no rule here')
    return [found[id(one)] for one in decisions]


def _matches(one: RouterDecision, prompts: Sequence[IsDomain]) -> bool:
    return any(rule.confidence(one.rules, is_domain) is not None for is_domain in prompts)


def _without(given: Node | None, signals: Signals) -> Node | None:
    """Return a decision's rule without the alternatives that rules of routing decide."""
    if not isinstance(given, Table):
        return given
    if "type" not in given.entries and (text(given, "operator") or "OR").upper() not in ("AND", "NOT"):
        rest = (_without(one, signals) for one in children(given, "conditions"))
        return changed(given, {"conditions": items(given, [one for one in rest if one is not None])})
    found = alternatives(given, signals)
    if rule.domains(given) or not any(conditions(given, signs) for signs in found):
        return given
    return table(given, {"operator": scalar(given, "OR"), "conditions": items(given, [])})


def rules(decided: Iterable[tuple[DecisionRules, str]], notes: Notes) -> Iterator[Table]:
    """Yield the rules of decisions in the order of these, each with the name of its category."""
    category = {id(one.rest): (one, name) for one, name in decided}
    taken: set[str] = set()
    for rest in decision.in_order([one.rest for one, _ in category.values()]):
        one, name = category[id(rest)]
        for made in one.conditions:
            own = next(own for own in _numbered(rest.name) if own not in taken)
            taken.add(own)
            notes.carried(rest.node, f'keywords for the category "{name}"')
            yield table(rest.node, {"name": scalar(rest.node, own), **made, "category": scalar(rest.node, name)})


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name} {number}" for number in count(2))

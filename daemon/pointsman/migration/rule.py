"""Evaluate a decision's rules when only the domain of the prompt is known.

`migrate` carries over no other signals, and semantic-router treats a missing signal as not matched. So does this
module: `law AND urgent` never matches; `law OR urgent` and `law AND NOT urgent` match for law.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pointsman.config.yaml_tree import Node, Table
from pointsman.migration.nodes import children, text

_CERTAIN = 1.0
_DOMAIN = 0.9
"""Confidence of a matching domain: below that of NOT, above that of a rule without conditions."""


def confidence(rule: Node | None, is_domain: Callable[[str], bool]) -> float | None:
    """Return the confidence of a matching rule, which breaks ties between priorities; None if it does not match."""
    if not isinstance(rule, Table) or not ({"type", "operator", "conditions"} & set(rule.entries)):
        return 0.0
    if "type" in rule.entries:
        return _DOMAIN if is_domain_leaf(rule) and is_domain(text(rule, "name") or "") else None
    found = [confidence(child, is_domain) for child in children(rule, "conditions")]
    matched = [one for one in found if one is not None]
    match (text(rule, "operator") or "OR").upper():
        case "AND":
            return (sum(matched) / max(len(found), 1)) if len(matched) == len(found) else None
        case "NOT":
            return _CERTAIN if len(found) == 1 and not matched else None
    return max(matched, default=None)


def leaves(rule: Node | None) -> Iterator[Table]:
    """Yield every condition of a rule, including nested ones."""
    if isinstance(rule, Table) and "type" in rule.entries:
        yield rule
    for child in children(rule, "conditions"):
        yield from leaves(child)


def domains(rule: Node | None) -> list[str]:
    """Return the names of the domains in a rule."""
    return [text(leaf, "name") or "" for leaf in leaves(rule) if is_domain_leaf(leaf)]


def others(rule: Node | None) -> list[str]:
    """Return `type name` of each condition that is not a domain."""
    found = (leaf for leaf in leaves(rule) if not is_domain_leaf(leaf))
    return list(dict.fromkeys(f"{text(leaf, 'type')} {text(leaf, 'name') or ''}".strip() for leaf in found))


def is_domain_leaf(leaf: Table) -> bool:
    return (text(leaf, "type") or "").lower() == "domain" and "predicate" not in leaf.entries

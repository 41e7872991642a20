"""Rewrite `categories` and `decisions` as categories with explicit labels, each label in one category."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pointsman.config.labels import COMMON, GENERAL
from pointsman.config.semantic_router import PROMPT
from pointsman.config.words import fold, listing
from pointsman.config.yaml_tree import Node, Table
from pointsman.migration import decision, domain, keyword_decisions, keyword_rules, keyword_signals, reference, rule
from pointsman.migration.decision import RouterDecision
from pointsman.migration.keyword_decisions import DecisionRules
from pointsman.migration.models import Models
from pointsman.migration.nodes import changed, children, entries, find, items, scalar, table, tables, text
from pointsman.migration.note import Notes

Claims = Mapping[str, tuple[str, ...]]

_OWN = ("name", "priority", "tier", "rules", "modelRefs", "model_refs", "plugins", "algorithm")
_FALLBACK = ("classifier", "category_model", "fallback_category")


def from_scores(root: Table, labels: Sequence[str], models: Models, notes: Notes) -> Table:
    """Return the root with the categories that have a model and can be chosen."""
    listed = domain.known(root, labels, notes)
    claims = domain.covered(listed, (), labels)
    made = [_scored(node, listed, claims, models, notes) for node in tables(root, "categories")]
    usable = [one for one in made if one is not None]
    fallback = text(root, *_FALLBACK)
    found = changed(root, {"categories": items(root.entries.get("categories", root), usable)})
    return found if fallback is None else _with_fallback(found, _named(usable, fallback), notes)


def from_decisions(root: Table, labels: Sequence[str], models: Models, notes: Notes) -> Table:
    """Return the root with one category for each decision that wins a label."""
    read = (decision.read(node, models, notes) for node in children(root, "decisions"))
    decisions = [one for one in read if one is not None]
    listed = domain.known(root, labels, notes)
    claims = domain.covered(listed, _undeclared(decisions, listed), labels)
    _note_domains(root, decisions, listed, claims, notes)
    strategy, wanted = text(root, "strategy") or "priority", fold(text(root, *_FALLBACK) or "")
    prompts = [domain.matcher(claims, label) for label in labels]
    prompts.append(lambda name: bool(wanted) and fold(name) == wanted)
    ruled = keyword_decisions.ruled(decisions, strategy, prompts, keyword_signals.read(root, notes), notes)
    decisions = [one.rest for one in ruled]
    *won, unsure = (decision.winner(decisions, strategy, is_domain) for is_domain in prompts)
    winner_of = list(zip(labels, won, strict=True))
    labels_of = [[label for label, winner in winner_of if winner is one] for one in decisions]
    made = [
        _decided(one, own, one.rest is unsure, claims, labels, notes) for one, own in zip(ruled, labels_of, strict=True)
    ]
    categories = items(root.entries["decisions"], [one for one in made if one is not None])
    rest = changed(root, {"decisions": None, "strategy": None, "categories": categories})
    named = [(one, text(category, "name") or "") for one, category in zip(ruled, made, strict=True)]
    rest = keyword_rules.with_rules(rest, keyword_decisions.rules(named, notes), notes)
    return _with_fallback(rest, made[decisions.index(unsure)] if unsure else None, notes)


def _scored(node: Table, listed: Claims, claims: Claims, models: Models, notes: Notes) -> Table | None:
    """Return a category of the older form; None, with a note, if it has no model or can never be chosen."""
    name = text(node, "name") or ""
    answers = reference.rewrite(node, children(node, "model_scores"), models, notes)
    if answers is None:
        notes.dropped(node, f'the category "{name}": no model answers it')
        return None
    if domain.hopeless(node, listed[name]):
        notes.dropped(node, f'the category "{name}": the classifier has none of its labels')
        return None
    own = listed[name]
    if not own and claims[name] and fold(name) not in map(fold, (*claims[name], "general")):
        own = claims[name]
        notes.changed(node, f'"{name}" is not a label of the classifier: it is mapped to {listing(own)}')
    at = find(node, "mmlu_categories") or find(node, "labels") or node
    written = items(at, [scalar(at, label) for label in own]) if own else None
    return changed(node, {"mmlu_categories": written, "labels": None, "model_scores": answers})


def _undeclared(decisions: Sequence[RouterDecision], listed: Claims) -> list[str]:
    declared = {fold(name) for name in listed}
    asked = (name for one in decisions for name in rule.domains(one.rules))
    return [name for name in dict.fromkeys(asked) if fold(name) not in declared]


def _note_domains(
    root: Table, decisions: Sequence[RouterDecision], listed: Claims, claims: Claims, notes: Notes
) -> None:
    """Note what decisions do not read of a domain, and domains that no decision uses."""
    asked = {fold(name) for one in decisions for name in rule.domains(one.rules)}
    for node in tables(root, "categories"):
        name = text(node, "name") or ""
        for key, value in node.entries.items():
            if key not in ("name", "description", "mmlu_categories"):
                notes.dropped(value, "semantic-router reads it only in decisions")
        if fold(name) not in asked:
            notes.dropped(node, f'no decision uses the domain "{name}"')
        elif not claims[name]:
            notes.dropped(node, f'the classifier has no label for the domain "{name}", so it never matches')
        elif not listed[name] and fold(name) not in map(fold, claims[name]):
            notes.changed(node, f'"{name}" is not a label of the classifier: it is mapped to {listing(claims[name])}')


def _decided(
    ruled: DecisionRules, won: Sequence[str], unsure: bool, claims: Claims, labels: Sequence[str], notes: Notes
) -> Table | None:
    """Return the category of a decision; None, with a note, if it has no rule and others win all its labels."""
    one = ruled.rest
    signals = rule.others(one.rules)
    if not won and not unsure and not ruled.conditions:
        notes.dropped(one.node, f'the decision "{one.name}" answers nothing here: {_why(one, signals, claims)}')
        return None
    if signals:
        notes.changed(one.node, f'in "{one.name}" these conditions never match here: {listing(signals)}')
    name = _name(one, won, claims) if won or unsure else _unclaimed(one.name, labels)
    written = items(one.node, [scalar(one.node, label) for label in won]) if won else None
    rest = {key: node for key, node in one.node.entries.items() if key not in _OWN}
    made = {"name": scalar(find(one.node, "name") or one.node, name), **rest, "mmlu_categories": written}
    _note_algorithm(one, notes)
    return table(one.node, {**made, **_prompt(one.node, notes), "model_scores": one.answers})


def _why(one: RouterDecision, signals: Sequence[str], claims: Claims) -> str:
    if any(claims.get(name) for name in rule.domains(one.rules)) and not signals:
        return "other decisions come first for its domains"
    return f"it needs {listing(signals)}" if signals else "none of its domains is a label of the classifier"


def _name(one: RouterDecision, won: Sequence[str], claims: Claims) -> str:
    """Return the domain's name if the decision uses that domain alone, or else the decision's name."""
    asked = list(dict.fromkeys(rule.domains(one.rules)))
    alone = len(asked) == 1 and set(won) <= set(claims.get(asked[0], ()))
    return asked[0] if alone and won else one.name


def _unclaimed(name: str, labels: Sequence[str]) -> str:
    """Return a name by which a category claims no label, as only a rule chooses it."""
    claiming = fold(name) in map(fold, (*labels, *COMMON, GENERAL))
    return f"{name} (keywords)" if claiming else name


def _note_algorithm(one: RouterDecision, notes: Notes) -> None:
    algorithm, kind = find(one.node, "algorithm"), text(one.node, "algorithm", "type")
    if algorithm is not None and kind != "static":
        notes.dropped(algorithm, f"the algorithm {kind}: the model with the highest score answers, the first of equals")


def _prompt(node: Table, notes: Notes) -> dict[str, Node]:
    """Return the system prompt of a decision's plugins, and note the other plugins."""
    found: dict[str, Node] = {}
    for one in children(node, "plugins"):
        kind = text(one, "type")
        if kind == "system_prompt":
            found |= {PROMPT.get(key, key): value for key, value in entries(one, "configuration").items()}
        else:
            notes.dropped(one, f"the plugin {kind}: Pointsman has no equivalent")
    return found


def _named(categories: Sequence[Table], name: str) -> Table | None:
    return next((one for one in categories if fold(text(one, "name") or "") == fold(name)), None)


def _with_fallback(root: Table, category: Table | None, notes: Notes) -> Table:
    """Return the root with the category for prompts below the threshold, or with none."""
    classifier, model = find(root, "classifier"), find(root, *_FALLBACK[:2])
    given = find(root, *_FALLBACK)
    if not isinstance(classifier, Table) or not isinstance(model, Table):
        return root
    if category is None and given is not None:
        notes.dropped(given, "no category of that name is kept: default_model answers prompts below the threshold")
    name = scalar(given or category, text(category, "name") or "") if category else None
    return changed(root, {"classifier": changed(classifier, {"category_model": changed(model, {_FALLBACK[2]: name})})})

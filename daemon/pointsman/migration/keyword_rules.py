"""Rewrite the keyword rules that semantic-router tries before its classifier as `pointsman.routing.rules`.

This is their older form, in which each names a category. `keyword_signals` has the one in which decisions name them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pointsman.config import regex
from pointsman.config.regex import MAX_STEPS_IN_ALL
from pointsman.config.rules import MAX_KEYWORDS, MAX_RULES
from pointsman.config.yaml_tree import Node, Table
from pointsman.migration.keyword_signals import MATCHES, usable
from pointsman.migration.listener import set_options
from pointsman.migration.nodes import changed, children, find, items, scalar, table, tables, text
from pointsman.migration.note import Notes


def rewrite(root: Table, notes: Notes) -> Table:
    """Return the root with its keyword rules under `pointsman`, in their order; call it once it has its categories."""
    known = {name.casefold(): name for one in tables(root, "categories") if (name := text(one, "name"))}
    return with_rules(root, _rules(root, known, notes), notes)


def with_rules(root: Table, rules: Iterable[Table], notes: Notes) -> Table:
    """Return the root with rules replacing its keyword rules; a note tells where there are too many."""
    made: list[Table] = []
    keywords = steps = 0
    for rule in rules:
        keywords += len(children(rule, "keywords"))
        pattern = text(rule, "pattern")
        steps += 0 if pattern is None else len(regex.compiled(pattern).steps)
        if len(made) == MAX_RULES or keywords > MAX_KEYWORDS or steps > MAX_STEPS_IN_ALL:
            most = (
                f"at most {MAX_RULES} rules with {MAX_KEYWORDS:,} keywords, and {MAX_STEPS_IN_ALL:,} steps of patterns"
            )
            notes.dropped(rule, f'the rule "{text(rule, "name")}" and those after it: Pointsman has {most}')
            break
        made.append(rule)
    root = changed(root, {"keyword_rules": None})
    if not made:
        return root
    routing = table(made[0], {"rules": items(made[0], made)})
    return set_options(root, {"routing": routing})


def _rules(root: Table, known: dict[str, str], notes: Notes) -> Iterator[Table]:
    number = 0
    for node in children(root, "keyword_rules"):
        rule = _rule(node, number + 1, known, notes)
        if rule is not None:
            number += 1
            yield rule


def _rule(node: Node, number: int, known: dict[str, str], notes: Notes) -> Table | None:
    """Return a rule; None, with a note, for one that Pointsman cannot have."""
    category = known.get((text(node, "category") or "").casefold())
    match = MATCHES.get((text(node, "operator") or "OR").upper())
    words = [one for one in children(node, "keywords") if usable(one)]
    if category is None or match is None or not words or len(words) < len(children(node, "keywords")):
        notes.dropped(node, "expected a category that is kept, OR, AND or NOR, and words as keywords")
        return None
    notes.carried(node, f'keywords for the category "{category}"')
    return table(
        node,
        {
            "name": scalar(node, f"keywords {number}"),
            "keywords": items(node, words),
            "keywords_match": scalar(node, match),
            "case_sensitive": find(node, "case_sensitive"),
            "category": scalar(node, category),
        },
    )

"""Rewrite `keyword_rules`, which semantic-router tries before its classifier, as `pointsman.routing.rules`."""

from __future__ import annotations

from pointsman.config.rules import LONGEST_KEYWORD, MOST_KEYWORDS, MOST_RULES
from pointsman.config.semantic_router.listener import set_options
from pointsman.config.semantic_router.nodes import changed, children, find, items, scalar, table, tables, text
from pointsman.config.semantic_router.note import Notes
from pointsman.config.yaml_tree import Node, Scalar, Table

_MATCHES = {"OR": "any", "AND": "all", "NOR": "none"}


def rewrite(root: Table, notes: Notes) -> Table:
    """Return the root with its keyword rules under `pointsman`, in their order; call it once it has its categories."""
    known = {name.casefold(): name for one in tables(root, "categories") if (name := text(one, "name"))}
    made: list[Table] = []
    keywords = 0
    for node in children(root, "keyword_rules"):
        rule = _rule(node, len(made) + 1, known, notes)
        if rule is None:
            continue
        keywords += len(children(rule, "keywords"))
        if len(made) == MOST_RULES or keywords > MOST_KEYWORDS:
            notes.dropped(node, f"Pointsman has at most {MOST_RULES} rules with {MOST_KEYWORDS:,} keywords")
            break
        made.append(rule)
    root = changed(root, {"keyword_rules": None})
    if not made:
        return root
    routing = table(made[0], {"rules": items(made[0], made)})
    return set_options(root, {"routing": routing})


def _rule(node: Node, number: int, known: dict[str, str], notes: Notes) -> Table | None:
    """Return a rule; None, with a note, for one that Pointsman cannot have."""
    category = known.get((text(node, "category") or "").casefold())
    match = _MATCHES.get((text(node, "operator") or "OR").upper())
    words = [one for one in children(node, "keywords") if _usable(one)]
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


def _usable(word: Node) -> bool:
    return isinstance(word, Scalar) and isinstance(word.value, str) and 0 < len(word.value.strip()) <= LONGEST_KEYWORD

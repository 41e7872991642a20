"""Read the keyword signals that decisions name, and the equivalent conditions of a rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, product

from pointsman.config import regex
from pointsman.config.rules import MAX_KEYWORD_CHARACTERS, MAX_RULES
from pointsman.config.words import fold
from pointsman.config.yaml_tree import Node, Scalar, Table
from pointsman.migration.nodes import children, find, items, scalar, text
from pointsman.migration.note import Notes

MATCHES = {"OR": "any", "AND": "all", "NOR": "none"}
_OPPOSITE = {"any": "none", "none": "any"}


@dataclass(frozen=True, slots=True)
class KeywordSignal:
    """A condition on the ask: keywords, or a regular expression if `pattern` is given."""

    node: Node
    name: str
    match: str
    words: tuple[Node, ...]
    sensitive: bool
    pattern: str | None = None

    def opposite(self) -> KeywordSignal | None:
        """Return the opposite condition; None if a rule cannot express it."""
        match = "any" if self.match == "all" and len(self.words) == 1 else self.match
        if self.pattern is not None or match not in _OPPOSITE:
            return None
        return KeywordSignal(self.node, self.name, _OPPOSITE[match], self.words, self.sensitive)


Signals = Mapping[str, KeywordSignal]
Alternative = tuple[KeywordSignal, ...]
"""Signals that must match together."""


def read(root: Table, notes: Notes) -> dict[str, KeywordSignal]:
    """Return the signals that a rule can have, by their folded names; notes name the others."""
    found = {}
    for node in children(root, "keyword_rules"):
        name = text(node, "name") or f"line {node.line}"
        signal = _signal(node, name, notes)
        if signal is not None:
            found[fold(name)] = signal
    return found


def _signal(node: Node, name: str, notes: Notes) -> KeywordSignal | None:
    given, method = children(node, "keywords"), (text(node, "method") or "").lower()
    words = tuple(one for one in given if usable(one))
    match = MATCHES.get((text(node, "operator") or "OR").upper())
    if match is None or not words or len(words) < len(given):
        notes.dropped(node, f'the keywords "{name}": expected OR, AND or NOR, and words as keywords')
        return None
    sensitive = _is_true(node, "case_sensitive")
    if method == "regex":
        return _expression(node, name, match, words, sensitive, notes)
    if method or _is_true(node, "fuzzy_match"):
        notes.changed(node, f'the keywords "{name}" are whole words here, not {method or "similar ones"}')
    return KeywordSignal(node, name, match, words, sensitive)


def _expression(
    node: Node, name: str, match: str, words: tuple[Node, ...], sensitive: bool, notes: Notes
) -> KeywordSignal | None:
    if match == "none" or (match == "all" and len(words) > 1):
        notes.dropped(node, f'the keywords "{name}": a rule has one regular expression, which must be found')
        return None
    pattern = "|".join(f"(?:{text(one)})" for one in words) if len(words) > 1 else text(words[0]) or ""
    try:
        regex.compiled(pattern)
    except ValueError as error:
        notes.dropped(node, f'the keywords "{name}": {error}')
        return None
    return KeywordSignal(node, name, match, (), sensitive, pattern)


def _is_true(node: Node, key: str) -> bool:
    found = find(node, key)
    return isinstance(found, Scalar) and found.value is True


def usable(word: Node) -> bool:
    """Return whether a rule can have a keyword."""
    return (
        isinstance(word, Scalar)
        and isinstance(word.value, str)
        and 0 < len(word.value.strip()) <= MAX_KEYWORD_CHARACTERS
    )


def alternatives(rule: Node | None, signals: Signals) -> list[Alternative]:
    """Return the combinations of signals each of which fulfills a decision's rule, whatever the domain.

    At most MAX_RULES + 1, so that no file takes long.
    """
    return list(islice(_alternatives(rule, signals), MAX_RULES + 1))


def _alternatives(rule: Node | None, signals: Signals) -> Iterator[Alternative]:
    if not isinstance(rule, Table):
        return
    if "type" in rule.entries:
        signal = _named(rule, signals)
        if signal is not None:
            yield (signal,)
        return
    given = children(rule, "conditions")
    match (text(rule, "operator") or "OR").upper():
        case "AND":
            found = [alternatives(one, signals) for one in given]
            yield from (tuple(one for part in parts for one in part) for parts in product(*found) if given)
        case "NOT":
            yield from _negated(given[0], signals) if len(given) == 1 else ()
        case _:
            for one in given:
                yield from _alternatives(one, signals)


def _negated(rule: Node, signals: Signals) -> Iterator[Alternative]:
    """Yield the combinations without a single condition; the opposite of a signal that never matches is always true."""
    if not isinstance(rule, Table) or "type" not in rule.entries:
        return
    kind = (text(rule, "type") or "").lower()
    if kind not in ("domain", "keyword"):
        yield ()
    signal = _named(rule, signals)
    opposite = None if signal is None else signal.opposite()
    if opposite is not None:
        yield (opposite,)


def _named(leaf: Table, signals: Signals) -> KeywordSignal | None:
    is_keyword = (text(leaf, "type") or "").lower() == "keyword" and "predicate" not in leaf.entries
    return signals.get(fold(text(leaf, "name") or "")) if is_keyword else None


def conditions(at: Node, needed: Alternative) -> dict[str, Node] | None:
    """Return the conditions of a rule for signals that match together; None if one rule cannot have them."""
    patterns = {one.pattern for one in needed if one.pattern is not None}
    listed = [one for one in needed if one.pattern is None]
    kinds = {_kind(one) for one in listed}
    if not needed or len(patterns) > 1 or len({one.sensitive for one in needed}) > 1:
        return None
    if len(kinds) > 1 or (kinds == {"any"} and len({one.name for one in listed}) > 1):
        return None
    made: dict[str, Node] = {"case_sensitive": scalar(at, True)} if needed[0].sensitive else {}
    if listed:
        words = {text(word): word for one in listed for word in one.words}
        match = kinds.pop()
        match = "any" if match == "all" and len(words) == 1 else match
        made |= {"keywords": items(at, words.values()), "keywords_match": scalar(at, match)}
    if patterns:
        made["pattern"] = scalar(at, patterns.pop() or "")
    return made


def _kind(one: KeywordSignal) -> str:
    return "all" if one.match == "any" and len(one.words) == 1 else one.match

"""Texts at which a regular expression of Python's `re` backtracks the most, derived from the expression itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT)
# A repeat of fewer is no loop.
LOOP = 4
CHARACTERS = "a A0 _-.\n\t\"'é:質/=#@*<>[](){}"
# Endings that most patterns do not expect; and nothing, and the end of a line.
TAILS = ("", "\x00", "\n")
MAX_SAMPLES = 4


def sample(pattern: re.Pattern[Any]) -> str:
    """Return a text that a pattern matches, but for what it looks at around it."""
    return _sequence(parser.parse(pattern.pattern, pattern.flags))[0]


def attacks(pattern: re.Pattern[Any]) -> list[tuple[str, str]]:
    """Return the text before each repeat of a pattern, and the repeated text; and where a search may begin."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~(re.UNICODE if isinstance(pattern.pattern, bytes) else 0))
    found = {("", char) for char in "a0 \n.-*"}
    found |= set(_repeats(tree, [""]))
    for whole in _sequence(tree)[:MAX_SAMPLES]:
        found |= {("", whole), ("", whole[:-1]), *[("", whole[:size]) for size in range(1, 6)]}
    return sorted((before, pump) for before, pump in found if pump)


def _repeats(nodes: Any, before: list[str]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        kind, what = node
        if kind in REPEATS and what[1] >= LOOP:
            yield from ((prefix, pump) for pump in _sequence(what[2]) for prefix in before[:2])
        for inner in _inner(kind, what):
            yield from _repeats(inner, before)
        before = [prefix + sample for prefix in before[:3] for sample in _samples(node)[:3]] or [""]


def _inner(kind: Any, what: Any) -> list[Any]:
    if kind in REPEATS:
        return [what[2]]
    if kind is constants.SUBPATTERN:
        return [what[3]]
    if kind is constants.BRANCH:
        return list(what[1])
    if kind in (constants.ASSERT, constants.ASSERT_NOT):
        return [what[1]]
    return [what] if kind is constants.ATOMIC_GROUP else []


def _sequence(nodes: Any) -> list[str]:
    """Some texts that a sequence of nodes matches."""
    found = [""]
    for node in nodes:
        found = [text + sample for text in found[:3] for sample in _samples(node)[:MAX_SAMPLES]][:8]
    return found or [""]


def _samples(node: Any) -> list[str]:
    """Some texts that one node matches, each repeat as often as it must, and at least once."""
    kind, what = node
    if kind is constants.LITERAL:
        return [chr(what)]
    if kind is constants.NOT_LITERAL:
        return [next(char for char in CHARACTERS if ord(char) != what)]
    if kind is constants.ANY:
        return ["a"]
    if kind is constants.IN:
        return _members(what)
    if kind in REPEATS:
        return [sample * max(what[0], 1) for sample in _sequence(what[2])]
    if kind is constants.BRANCH:
        return [sample for branch in what[1] for sample in _sequence(branch)[:2]]
    if kind in (constants.SUBPATTERN, constants.ATOMIC_GROUP):
        return _sequence(_inner(kind, what)[0])
    return [""]


def _members(items: Any) -> list[str]:
    negated = items[0][0] is constants.NEGATE
    found = [char for char in CHARACTERS if any(_has(item, char) for item in items) is not negated]
    return found[:3] or [chr(what if kind is constants.LITERAL else what[0]) for kind, what in items]


def _has(item: Any, char: str) -> bool:
    kind, what = item
    if kind is constants.LITERAL:
        return bool(ord(char) == what)
    if kind is constants.RANGE:
        return bool(what[0] <= ord(char) <= what[1])
    if kind is not constants.CATEGORY:
        return False
    name = str(what).lower()
    is_in = (
        char.isdecimal() if "digit" in name else char.isspace() if "space" in name else char.isalnum() or char == "_"
    )
    return is_in is not ("not" in name)

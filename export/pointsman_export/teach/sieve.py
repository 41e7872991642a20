"""Drop what a model wrote that is no prompt of a person, or says what another one said; pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

Shingles: TypeAlias = frozenset[tuple[str, str]]

MIN_CHARACTERS, MAX_CHARACTERS = 3, 4_000
MAX_SHARED = 0.6
"""Two texts are near copies if they share this part of the pairs of words that both have (Jaccard's index)."""
MIN_OF_LANGUAGE = 1 / 3
"""Share of a category's prompts in a language that the classifier is not for, from which on it is how people write."""
_REFUSAL = re.compile(
    r"^(?:i'?m sorry,? but|i am sorry,? but|sorry,? but i can|as an ai\b|i'?m unable|i am unable|i cannot|"
    r"i can(?:'|no)t (?:help|assist|write|provide|create))",
    re.IGNORECASE,
)
_CHATTER = re.compile(
    r"^(?:here (?:are|is)\b|sure[,!.]|certainly[,!.]|of course[,!.]|below are\b|the following are\b|"
    r"(?:message|prompt|example) ?\d{0,3}:?$|\.{3}$)",
    re.IGNORECASE,
)


class Sieve:
    """The texts that were accepted so far, of all categories together."""

    def __init__(self, known: Iterable[str]) -> None:
        """Begin with texts of which no near copy is accepted: descriptions and examples."""
        self._known: list[Shingles] = []
        self._having: dict[tuple[str, str], list[int]] = defaultdict(list)
        self.dropped: Counter[str] = Counter()
        for text in known:
            self._add(_shingles(text))

    def takes(self, text: str) -> bool:
        """Return whether a text is accepted, which is then known; else count why not."""
        own = _shingles(text)
        why = self._why_not(text, own)
        if why is None:
            self._add(own)
        else:
            self.dropped[why] += 1
        return why is None

    def _why_not(self, text: str, own: Shingles) -> str | None:
        if not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS or not own:
            return "too short or too long"
        if _REFUSAL.match(text):
            return "refusal"
        if _CHATTER.match(text):
            return "no prompt"
        return "near copy" if self._has(own) else None

    def _has(self, own: Shingles) -> bool:
        shared = Counter(at for pair in own for at in self._having.get(pair, ()))
        return any(count >= MAX_SHARED * (len(own) + len(self._known[at]) - count) for at, count in shared.items())

    def _add(self, own: Shingles) -> None:
        for pair in own:
            self._having[pair].append(len(self._known))
        self._known.append(own)


def strange(languages: Iterable[str | None]) -> list[bool]:
    """Return which texts of a category are in a language that few of them share; None is one that is supported."""
    known = list(languages)
    counts = Counter(known)
    return [one is not None and counts[one] < MIN_OF_LANGUAGE * len(known) for one in known]


def _shingles(text: str) -> Shingles:
    """Return the pairs of neighboring words; the first and the last word are paired with the end of the text."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(pairwise(["", *words, ""])) if words else frozenset()

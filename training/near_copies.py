"""Find texts that say nearly the same as others: by their shingles, which are pairs of neighbouring words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import TypeAlias

Shingles: TypeAlias = frozenset[tuple[str, str]]

MIN_SHARED_PART = 0.6
"""Two texts are near copies if they share this part of the shingles of both (Jaccard's index)."""

_ARTICLES = frozenset({"a", "an", "the"})


class NearCopies:
    """Texts in which near copies of others are looked up."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._known = list({shingles(text) for text in texts})
        self._having: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, known in enumerate(self._known):
            for pair in known:
                self._having[pair].append(i)

    def has(self, text: str) -> bool:
        """Return whether one of the texts is a near copy of `text`."""
        own = shingles(text)
        shared = Counter(i for pair in own for i in self._having.get(pair, ()))
        return any(n >= MIN_SHARED_PART * (len(own) + len(self._known[i]) - n) for i, n in shared.items())


def normal(text: str) -> str:
    """Return `text` in lower case without punctuation and articles."""
    return " ".join(word for word in re.findall(r"\w+", text.lower()) if word not in _ARTICLES)


def shingles(text: str) -> Shingles:
    """Return the pairs of neighbouring words; the first and the last word are paired with the end of the text."""
    return frozenset(pairwise(["", *normal(text).split(), ""]))

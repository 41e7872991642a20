"""The evidence that a text is a person's ask, and the weight of each piece of it."""

from __future__ import annotations

from itertools import product
from operator import mul
from typing import NamedTuple

ASKS = 2
"""From this score on, a text surely asks."""


class Evidence(NamedTuple):
    """The signs of an ask in a text: as evidence, whether each is there; as weights, how much each counts."""

    question: int = 0
    """A question mark is near its end."""
    question_last: int = 0
    """It is the last character, but for quotation marks."""
    question_later: int = 0
    """A clause inside begins as a question does: "..., how do I". It counts if the rest does not surely ask."""
    order: int = 0
    """It begins with a verb or an interrogative."""
    personal: int = 0
    """It speaks of "I" or "my"."""
    forwarded: int = 0
    """All of it is a quotation."""
    named: int = 0
    """Its name is known, and not one of material."""

    @property
    def score(self) -> int:
        """Return how much a text looks like an ask: 0 is not at all."""
        return _SCORES[self]


WEIGHTS = Evidence(question=1, question_last=1, question_later=1, order=2, personal=1, forwarded=2, named=1)
# Looking a score up takes a third of the time of computing it.
_SCORES: dict[tuple[int, ...], int] = {
    shown: sum(map(mul, shown, WEIGHTS)) for shown in product((0, 1), repeat=len(WEIGHTS))
}

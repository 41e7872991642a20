"""Find the described categories that are near each other, and the examples that go elsewhere; pure functions.

Each example is judged by a head that is made without it, as the service makes its own. A category's examples are dealt
to MAX_FOLDS folds one after another, and one head is made without each fold: of a category with at most that many
examples one at a time is left out. One whose only example is left out has its descriptions alone. A category without
examples is judged by its descriptions, as if it were not there itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np

from pointsman.classify import described
from pointsman.classify.described import CategoryTexts, Floats

MAX_FOLDS = 10
MAX_PAIRS = 100
MAX_COMPARED = 1000
"""Time and memory grow with the square of the categories."""


@dataclass(frozen=True, slots=True)
class StrayExample:
    """An example, by its position in its category, that goes to another category, or to nobody if None."""

    category: str
    position: int
    chosen: str | None


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two categories, and how much of the probability of both one of them has for the texts of the other, at worst.

    For the descriptions of one without examples, nobody stands in its place.
    """

    names: tuple[str, str]
    share: float


@dataclass(frozen=True, slots=True)
class Nearness:
    """The judgment of `judged` examples."""

    judged: int
    strays: tuple[StrayExample, ...]
    pairs: tuple[NearPair, ...]
    """The nearest first, MAX_PAIRS at most."""
    wanting: tuple[str, ...]
    """All categories, the one first that needs examples most: that with the fewest, among these the nearest one."""


def judge(categories: Mapping[str, CategoryTexts], ordinary: Floats) -> Nearness:
    """Judge the texts of at least one category; `ordinary` are features of requests, as for `described.fit`.

    Categories beyond MAX_COMPARED are left out.
    """
    categories = dict(islice(categories.items(), MAX_COMPARED))
    names = list(categories)
    scores = _scores(categories, ordinary)
    shares = np.zeros((len(names), len(names)))
    strays = []
    for at, name in enumerate(names):
        found, judged = scores[name][:, :-1], len(categories[name].examples) > 0
        rival = scores[name][:, at if judged else -1, None]
        shares[at] = (found / np.maximum(found + rival, 1e-30)).mean(axis=0)
        if judged:
            chosen = scores[name].argmax(axis=1)
            strays += [StrayExample(name, i, [*names, None][to]) for i, to in enumerate(chosen) if to != at]
    shares = np.maximum(shares, shares.T)
    np.fill_diagonal(shares, 0.0)
    rows, columns = np.triu_indices(len(names), 1)
    nearest = np.argsort(-shares[rows, columns], kind="stable")[:MAX_PAIRS]
    pairs = [NearPair((names[rows[at]], names[columns[at]]), float(shares[rows[at], columns[at]])) for at in nearest]
    wanting = sorted(range(len(names)), key=lambda at: (len(categories[names[at]].examples), -shares[at].max()))
    return Nearness(
        sum(len(one.examples) for one in categories.values()),
        tuple(strays),
        tuple(pairs),
        tuple(names[at] for at in wanting),
    )


def _scores(categories: Mapping[str, CategoryTexts], ordinary: Floats) -> dict[str, Floats]:
    """Return the probabilities of each category's texts; see above for which, and by which head."""
    folds, first = {}, 0
    for name, one in categories.items():
        folds[name] = np.arange(first, first + len(one.examples)) % MAX_FOLDS
        first += len(one.examples)
    made = described.fit(dict(categories), ordinary, "")
    scores = {
        name: made.probabilities(one.examples if len(one.examples) else one.descriptions)
        for name, one in categories.items()
    }
    for fold in range(min(MAX_FOLDS, first)):
        kept = {name: replace(one, examples=one.examples[folds[name] != fold]) for name, one in categories.items()}
        made = described.fit(kept, ordinary, "")
        for name, one in categories.items():
            out = folds[name] == fold
            if out.any():
                scores[name][out] = made.probabilities(one.examples[out])
    return scores

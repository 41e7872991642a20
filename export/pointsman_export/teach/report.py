"""Judge taught rows: each by a head that did not see it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from pointsman.classify.described import DescribedHead
from pointsman.evaluation.metrics import Floats, Ints
from pointsman.intervals import share_interval

FOLDS = 5
MAX_PAIRS = 10
MAX_WANTING = 5
PARTS = (0.25, 0.5, 1.0)
"""Of the rows that are not left out, for the curve."""

Fit = Callable[[Ints], DescribedHead]
"""Makes a head of the rows at some positions."""
Choose = Callable[[DescribedHead, Floats], list[str | None]]
"""Returns the category of each text, None for nobody's, as the service decides."""


class ConfusedPair(msgspec.Struct, frozen=True):
    """Rows of a category (None: of nobody) that go to another one."""

    label: str | None
    chosen: str | None
    rows: int


class RowsAccuracy(msgspec.Struct, frozen=True):
    """The share of right rows with a part of the rows."""

    rows: int
    share: float


class MovedTexts(msgspec.Struct, frozen=True):
    """Of stored texts, those that get another model; `between` two adapters, neither of them the base model."""

    texts: int
    moved: int
    between: int
    pairs: tuple[tuple[str, str, int], ...]
    """The most frequent models before and after."""

    def __str__(self) -> str:
        moves = "".join(f"; {before} to {after} {count:,}" for before, after, count in self.pairs)
        return (
            f"{self.moved:,} of {self.texts:,} stored texts get another model, {self.between:,} another adapter{moves}"
        )


class TeachingReport(msgspec.Struct, frozen=True):
    """The figures of a teaching; each row was judged by a head that did not see it."""

    rows: int
    right: int
    nobody: int
    kept: int
    by_category: dict[str, tuple[int, int]]
    """Category to its right rows and all its rows."""
    pairs: tuple[ConfusedPair, ...]
    curve: tuple[RowsAccuracy, ...]
    moved: MovedTexts | None = None
    """None if no text is stored."""

    def lines(self) -> Iterator[str]:
        """Yield the report for a terminal."""
        yield f"each row judged by a head that did not see it ({FOLDS} folds):"
        yield f"  to its category     {_share(self.right, self.rows)}"
        if self.nobody:
            yield f"  nobody's, to none   {_share(self.kept, self.nobody)}"
        for pair in self.pairs:
            yield f"  {pair.rows} of {pair.label or 'nobody'} go to {pair.chosen or 'nobody'}"
        least = sorted(self.by_category.items(), key=lambda one: one[1][0] / max(1, one[1][1]))[:MAX_WANTING]
        wanting = [name for name, (right, rows) in least if 2 * right < rows]
        if wanting:
            yield f"  describe better, and how it differs from its neighbors: {', '.join(wanting)}"
        if self.moved is not None:
            yield f"  {self.moved}"
        yield "  with fewer rows     " + ", ".join(f"{one.rows:,}: {one.share:.2f}" for one in self.curve)


def judge(features: Floats, labels: Sequence[str | None], fit: Fit, choose: Choose) -> TeachingReport:
    """Judge the rows with these features [rows, width] and labels, in FOLDS folds; the first gives the curve."""
    folds = np.arange(len(labels)) % FOLDS
    chosen: list[str | None] = [None] * len(labels)
    curve: tuple[RowsAccuracy, ...] = ()
    for fold in range(FOLDS):
        out = np.flatnonzero(folds == fold)
        rest = np.flatnonzero(folds != fold)
        for at, one in zip(out, choose(fit(rest), features[out]), strict=True):
            chosen[at] = one
        if fold == 0:
            curve = tuple(_curve(features, labels, out, rest, fit, choose))
    own = [at for at, label in enumerate(labels) if label is not None]
    pairs = Counter((labels[at], chosen[at]) for at in range(len(labels)) if labels[at] != chosen[at])
    return TeachingReport(
        rows=len(own),
        right=sum(labels[at] == chosen[at] for at in own),
        nobody=len(labels) - len(own),
        kept=sum(label is None and one is None for label, one in zip(labels, chosen, strict=True)),
        by_category={
            name: (sum(chosen[at] == name for at in own if labels[at] == name), labels.count(name))
            for name in dict.fromkeys(label for label in labels if label is not None)
        },
        pairs=tuple(ConfusedPair(*names, count) for names, count in pairs.most_common(MAX_PAIRS)),
        curve=curve,
    )


def _curve(
    features: Floats, labels: Sequence[Any], out: Ints, rest: Ints, fit: Fit, choose: Choose
) -> Iterator[RowsAccuracy]:
    judged = out[[labels[at] is not None for at in out]]
    for part in PARTS if len(judged) else ():
        some = rest[: round(len(rest) * part)]
        found = choose(fit(some), features[judged])
        right = sum(one == labels[at] for at, one in zip(judged, found, strict=True))
        yield RowsAccuracy(len(some), right / len(judged))


def moved(before: Sequence[str], after: Sequence[str], base: str) -> MovedTexts | None:
    """Return how many texts get another model than before; `base` is the base model."""
    pairs = Counter(pair for pair in zip(before, after, strict=True) if pair[0] != pair[1])
    between = sum(count for pair, count in pairs.items() if base not in pair)
    most = tuple((*pair, count) for pair, count in pairs.most_common(MAX_PAIRS))
    return MovedTexts(len(before), pairs.total(), between, most) if before else None


def _share(part: int, whole: int) -> str:
    low, high = share_interval(part, whole)
    return f"{part:,} of {whole:,}, {part / whole:.3f} ({low:.3f} to {high:.3f})" if whole else "none"

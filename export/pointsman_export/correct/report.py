"""Report the effect of a correction on the labeled texts and on the traffic."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from pointsman.evaluation.metrics import Bools, Floats, Ints
from pointsman.evaluation.scheme import CategoryScheme
from pointsman.improve.labels_file import OUT_OF_SCOPE, LabelledText
from pointsman.improve.texts_file import TextRecord
from pointsman.intervals import share_interval
from pointsman.routing.thresholds import ThresholdOrigin
from pointsman_export.correct.labels import MIN_LABELS
from pointsman_export.correct.levels import ThresholdChange

SAMPLES = 3
"""Texts that are shown of each change."""
MAX_CHANGES = 20
_WIDTH = 100


class LabelAccuracy(msgspec.Struct, frozen=True):
    """The number of a label's texts that are decided rightly, before and after."""

    label: str
    texts: int
    before: int
    after: int


class RoutingChange(msgspec.Struct, frozen=True):
    """Texts that another model would answer, with some examples."""

    before: str
    after: str
    model: str
    texts: int
    samples: tuple[str, ...]


class CorrectionReport(msgspec.Struct, frozen=True, kw_only=True):
    """The measurements of a correction; each labeled text is judged by a correction that did not see it.

    The same is true for the thresholds of that judgment; `calibrated` is the number of labeled texts on which those of
    the artifact are fitted.
    """

    base: str
    labelled: int
    labels: tuple[LabelAccuracy, ...]
    levels: tuple[ThresholdChange, ...]
    calibrated: int
    strength: float
    folds: int
    traffic: int
    """Stored texts that were decided again."""
    changes: tuple[RoutingChange, ...]
    seconds: float

    @property
    def before(self) -> int:
        return sum(one.before for one in self.labels)

    @property
    def after(self) -> int:
        return sum(one.after for one in self.labels)

    def figures(self) -> dict[str, Any]:
        """Return the manifest's `verification`: numbers and labels, none of the texts."""
        return {
            "correction": {
                "labelled": self.labelled,
                "folds": self.folds,
                "right_before": self.before,
                "right_after": self.after,
                "labels": {one.label: [one.texts, one.before, one.after] for one in self.labels},
                "l2": self.strength,
                "calibrated": self.calibrated,
            },
            "traffic": {"texts": self.traffic, "changed": sum(one.texts for one in self.changes)},
        }

    def table(self) -> str:
        """Format the report for a terminal."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"  base        {self.base}"
        yield f"  labeled     {self.labelled} texts, each judged by a correction that did not see it"
        yield f"  right       {_share(self.before, self.labelled)} before"
        yield f"              {_share(self.after, self.labelled)} after"
        yield f"  time        {self.seconds:.1f} s"
        width = max(len("label"), *(len(one.label) for one in self.labels))
        yield f"\n  {'label':<{width}}  texts  before  after"
        yield from (f"  {one.label:<{width}}  {one.texts:>5}  {one.before:>6}  {one.after:>5}" for one in self.labels)
        yield from self._thresholds()
        changed = sum(one.texts for one in self.changes)
        yield f"\n{changed:,} of {self.traffic:,} stored texts would be answered by another model"
        for one in self.changes[:MAX_CHANGES]:
            yield f"  {one.texts:>5}  from {one.before} to {one.after} ({one.model})"
            for sample in one.samples:
                shown = "".join(char if char.isprintable() else " " for char in sample)
                yield f"         {textwrap.shorten(shown, _WIDTH, placeholder=' …')}"
        if self.after <= self.before:
            yield "\nwarning: it decides no more of the labeled texts rightly: label more before you promote it"

    def _thresholds(self) -> Iterator[str]:
        width = max(len("threshold"), *(len(one.category) for one in self.levels), 0)
        yield f"\n  {'threshold':<{width}}  before  after  labeled"
        for one in self.levels:
            note = f" (fewer than {MIN_LABELS}: by the base's rows alone)" if one.few else ""
            if one.origin in (ThresholdOrigin.GIVEN, ThresholdOrigin.COMMON):
                note = f" (set in {one.origin})"
            elif one.origin != ThresholdOrigin.FITTED:
                note = f" ({one.origin})"
            yield f"  {one.category:<{width}}  {one.before:>6.2f}  {one.after:>5.2f}  {one.labelled:>7}{note}"


def judged(labelled: Sequence[LabelledText], before: Bools, after: Bools) -> tuple[LabelAccuracy, ...]:
    """Return, by label, the number of texts that are decided rightly before and after."""
    right = before, after
    labels = np.array([one.label for one in labelled])
    return tuple(
        LabelAccuracy(label, int((labels == label).sum()), *(int(one[labels == label].sum()) for one in right))
        for label in sorted(set(labels.tolist()))
    )


def changes(
    schemes: tuple[CategoryScheme, CategoryScheme],
    traffic: Sequence[TextRecord],
    before: Floats,
    after: Floats,
    supported: Bools,
) -> tuple[RoutingChange, ...]:
    """Return the stored texts that another model would answer, the most frequent change first.

    `schemes` are those before and after, which have the same categories.
    """
    if not traffic:
        return ()
    scheme, models = schemes[0], schemes[0].models()
    one, other = (how.chosen(scores, supported) for how, scores in zip(schemes, (before, after), strict=True))
    differing = [index for index in range(len(traffic)) if models[one[index]] != models[other[index]]]
    pairs = Counter((int(one[index]), int(other[index])) for index in differing)
    return tuple(
        RoutingChange(
            scheme.names[first],
            scheme.names[second],
            models[second],
            count,
            _samples(traffic, [index for index in differing if (one[index], other[index]) == (first, second)]),
        )
        for (first, second), count in pairs.most_common(MAX_CHANGES)
    )


def _samples(traffic: Sequence[TextRecord], indices: Sequence[int]) -> tuple[str, ...]:
    return tuple(traffic[index].text[:1_000] for index in indices[:: max(1, len(indices) // SAMPLES)][:SAMPLES])


def right(scheme: CategoryScheme, labelled: Sequence[LabelledText], scores: Floats, supported: Bools) -> Bools:
    """Return which texts are decided rightly."""
    chosen: Ints = scheme.chosen(scores, supported)
    caught = scheme.caught(scores, chosen)
    truths = [None if one.label == OUT_OF_SCOPE else scheme.truth(one.label) for one in labelled]
    return np.array([caught[i] if truth is None else chosen[i] == truth for i, truth in enumerate(truths)], dtype=bool)


def right_by_fold(
    scheme_of: Callable[[int], CategoryScheme],
    folds: Ints,
    labelled: Sequence[LabelledText],
    scores: Floats,
    supported: Bools,
) -> Bools:
    """Return which texts are decided rightly, those of each fold by a scheme of its own."""
    found = np.zeros(len(labelled), dtype=bool)
    for fold in set(folds.tolist()):
        indices = np.flatnonzero(folds == fold).tolist()
        some = [labelled[index] for index in indices]
        found[indices] = right(scheme_of(fold), some, scores[indices], supported[indices])
    return found


def _share(part: int, whole: int) -> str:
    low, high = share_interval(part, whole)
    return f"{part} of {whole}, {100 * part / whole:.0f} % ({100 * low:.0f} to {100 * high:.0f})"

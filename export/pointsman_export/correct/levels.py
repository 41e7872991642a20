"""Fit the thresholds of a corrected classifier: on the rows of its base, and on the labeled texts.

The rows of the base have no texts, so their scores by the base stand for the corrected ones, which are close wherever
nobody labeled anything. Elsewhere, the labeled texts tell how sure the corrected classifier may be. Each of them counts
with the scores of a correction that did not see it, and for the category with the highest of these, if enough texts are
labeled with that category: otherwise it would only tell what does not belong to the category, and a threshold that
excludes it would exclude the others as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from pointsman.classify import artifact
from pointsman.classify.calibration import MAX_CALIBRATION_BYTES, MAX_CALIBRATION_ROWS, Calibration
from pointsman.config.model import Config
from pointsman.evaluation.metrics import Bools, Floats
from pointsman.evaluation.scheme import CategoryScheme
from pointsman.improve.labels_file import LabelledText
from pointsman.routing.thresholds import thresholds
from pointsman_export.correct.labels import MIN_LABELS

LABELLED_PART = 4
"""One row in this many is a labeled text's, if there are as many and the base's rows leave no room."""


class ThresholdChange(msgspec.Struct, frozen=True):
    """The threshold of a category before and after, and the texts that are labeled with the category."""

    category: str
    before: float
    after: float
    labelled: int
    origin: str
    """The value of a `ThresholdOrigin`."""
    few: bool
    """True if these texts are too few, so that no labeled text counts for the category."""


def own_rows(base: artifact.Artifact) -> Calibration | None:
    """Return the rows of an artifact without those added by an earlier correction, or None without rows."""
    found = base.calibration
    if found is None:
        return None
    added = base.manifest.verification.get("correction", {}).get("calibrated", 0)
    left = max(0, len(found.truth) - added)
    return Calibration(found.probabilities[:left], found.truth[:left])


def counted(config: Config, labels: list[str], labelled: Sequence[LabelledText], scores: Floats) -> Bools:
    """Return which texts count: enough are labeled with the category that has their highest score."""
    scheme = CategoryScheme(config, labels)
    if not config.categories:
        return np.zeros(len(labelled), dtype=bool)
    given = Counter(one.label for one in labelled)
    return np.array([given[scheme.names[best]] >= MIN_LABELS for best in scheme.scores(scores).argmax(axis=1)])


def added(rows: Calibration | None, labelled: int) -> int:
    """Return the number of labeled texts that are added to the base's rows: all for which room can be made."""
    if rows is None:
        return 0
    max_rows = _max_rows(rows)
    return min(labelled, max(max_rows - len(rows.truth), max_rows // LABELLED_PART))


def with_labelled(rows: Calibration | None, scores: Floats, allowed: Bools) -> Calibration | None:
    """Return the rows, thinned evenly if they leave no room, and then those of the latest labeled texts.

    None stays None. A text's label is the likeliest of those that it is `allowed`.
    """
    if rows is None or not len(scores):
        return rows
    latest = len(scores) - added(rows, len(scores))
    truth = np.where(allowed, scores, -1.0).argmax(axis=1)[latest:]
    left = min(len(rows.truth), _max_rows(rows) - len(truth))
    indices = np.linspace(0, len(rows.truth) - 1, left).astype(int)
    return Calibration(
        np.concatenate([rows.probabilities[indices], scores[latest:]]), np.concatenate([rows.truth[indices], truth])
    )


def _max_rows(rows: Calibration) -> int:
    """Return the maximum number of an artifact's rows."""
    labels: int = rows.probabilities.shape[1]
    return min(MAX_CALIBRATION_ROWS, MAX_CALIBRATION_BYTES // (4 + labels))


def levels(
    config: Config,
    labels: list[str],
    labelled: Sequence[LabelledText],
    before: Calibration | None,
    after: Calibration | None,
) -> Iterator[ThresholdChange]:
    """Yield the thresholds of the categories with the calibration rows before and after."""
    old, new = thresholds(config, labels, before), thresholds(config, labels, after)
    given = Counter(one.label for one in labelled)
    for name, level in new.items():
        yield ThresholdChange(name, old[name].value, level.value, given[name], level.origin, given[name] < MIN_LABELS)

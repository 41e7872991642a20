"""Find the categories' thresholds, and their effect on an artifact's calibration rows; pure functions."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from pointsman.classify.calibration import Calibration, Floats
from pointsman.config.labels import cover
from pointsman.config.model import Category, Config

SHOWN_PRECISION = 0.95
"""Stated precision that `check` and the page show next to the thresholds in use."""
MIN_ROWS = 30
"""Minimum rows above a threshold: even 30 right ones of 30 are compatible with a precision of 0.89."""
_STEPS = 10_000
"""Number of steps between 0 and 1 that scores are rounded down to, since people copy thresholds into a config."""

Bools = npt.NDArray[np.bool_]


class ThresholdOrigin(enum.StrEnum):
    """The origin of a threshold."""

    GIVEN = "routing.thresholds"
    COMMON = "category_model.threshold"
    FITTED = "routing.precision"
    FEW_ROWS = "category_model.threshold: too few rows for routing.precision"
    NOT_REACHED = "routing.precision is not reached"
    """It is the threshold with the highest precision."""


@dataclass(frozen=True, slots=True)
class ThresholdCounts:
    """The numbers of rows that are a category's, that choose it, and that do both.

    A row is a category's if its true label is one of the category's labels. It chooses the category with its highest
    score, if that reaches the threshold.
    """

    own: int
    chosen: int
    right: int


@dataclass(frozen=True, slots=True)
class Threshold:
    """The score from which a category is chosen; `measured` on the calibration rows, None without them."""

    value: float
    origin: ThresholdOrigin
    measured: ThresholdCounts | None = None


def thresholds(config: Config, labels: Sequence[str], calibration: Calibration | None) -> dict[str, Threshold]:
    """Return the threshold of each category."""
    routing, common = config.pointsman.routing, config.classifier.category_model.threshold
    given, precision = routing.thresholds, routing.precision
    found = {category.name: Threshold(common, ThresholdOrigin.COMMON) for category in config.categories}
    found |= {name: Threshold(value, ThresholdOrigin.GIVEN) for name, value in given.items()}
    if calibration is None or not config.categories:
        return found
    shares, scores = _scores(config, labels, calibration)
    # The category of each label, one too many if none; the last is for NO_LABEL.
    own = np.append(np.c_[shares, ~shares.any(axis=1)].argmax(axis=1), len(found))[calibration.truth]
    best = scores.argmax(axis=1)
    for position, category in enumerate(config.categories):
        mine = best == position
        confidence, right = _rounded(scores[mine, position]), own[mine] == position
        threshold = found[category.name]
        value, origin = threshold.value, threshold.origin
        fits = origin is ThresholdOrigin.COMMON and shares[:, position].any() and not answered_alike(category, config)
        if precision is not None and fits:
            value, origin = _fit(confidence, right, common, precision)
        reached = confidence >= value
        measured = ThresholdCounts(int((own == position).sum()), int(reached.sum()), int(right[reached].sum()))
        found[category.name] = Threshold(value, origin, measured)
    return found


def at_precision(config: Config, labels: Sequence[str], calibration: Calibration | None) -> dict[str, Threshold]:
    """Return the thresholds at SHOWN_PRECISION, also of categories that have their own."""
    routing = replace(config.pointsman.routing, precision=SHOWN_PRECISION, thresholds={})
    return thresholds(replace(config, pointsman=replace(config.pointsman, routing=routing)), labels, calibration)


def expected_confidence(config: Config, labels: Sequence[str], calibration: Calibration | None) -> float | None:
    """Return the mean score of the winning category over the calibration rows, None without them."""
    if calibration is None or not config.categories or not len(calibration.truth):
        return None
    return float(_scores(config, labels, calibration)[1].max(axis=1).mean())


def _scores(config: Config, labels: Sequence[str], calibration: Calibration) -> tuple[Bools, Floats]:
    """Return the category of each label, shape [labels, categories], and each row's scores, [rows, categories]."""
    labels_of = cover(config, labels).labels_of
    shares = np.array([[label in labels_of[category.name] for category in config.categories] for label in labels])
    # Not a matrix product: its threads would wait for cores that other processes use.
    return shares, np.stack([calibration.probabilities[:, mine].sum(axis=1) for mine in shares.T], axis=1)


def suggest_threshold(confidence: Floats, correct: Bools, precision: float) -> float | None:
    """Return the lowest threshold above which at least `precision` of the rows are right, or None.

    `confidence` and `correct` have shape [n]. At least MIN_ROWS rows must be at or above the threshold.
    """
    values, shares = _precisions(confidence, correct)
    good = np.flatnonzero(shares >= precision)
    return float(values[good[-1]]) if len(good) else None


def _precisions(confidence: Floats, correct: Bools) -> tuple[Floats, Floats]:
    """Return the thresholds that at least MIN_ROWS rows reach, falling, and the share of these rows that is right."""
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    rows = np.arange(1, len(ranked) + 1)
    share = np.cumsum(correct[order].astype(bool)) / rows
    last_of_ties = np.append(ranked[1:] != ranked[:-1], True)[
        : len(ranked)
    ]  # a threshold includes all rows of equal confidence
    usable = last_of_ties & (rows >= MIN_ROWS)
    return ranked[usable], share[usable]


def answered_alike(category: Category, config: Config) -> bool:
    """Return whether no adapter depends on the category's threshold: an unsure ask gets the same model."""
    fallback = config.classifier.category_model.fallback_category
    return category.name == fallback or all(entry.target == config.default_model for entry in category.model_scores)


def _fit(confidence: Floats, right: Bools, lower: float, precision: float) -> tuple[float, ThresholdOrigin]:
    """Return the lowest threshold from `lower` on that has the precision on the rows, else the most precise one.

    With too few rows, return `lower`.
    """
    above = confidence >= lower
    if above.sum() < MIN_ROWS:
        return lower, ThresholdOrigin.FEW_ROWS
    found, origin = suggest_threshold(confidence[above], right[above], precision), ThresholdOrigin.FITTED
    if found is None:
        values, shares = _precisions(confidence[above], right[above])
        found, origin = float(values[shares == shares.max()].min()), ThresholdOrigin.NOT_REACHED
    return (lower if found == confidence[above].min() else found), origin


def _rounded(scores: Floats) -> Floats:
    """Return the scores rounded down to few digits, below 1: a sum of probabilities may miss 1 by a rounding error."""
    return np.minimum(np.floor(scores * _STEPS), _STEPS - 1) / _STEPS

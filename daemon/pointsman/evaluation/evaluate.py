"""Compute a report from rows and their classification; pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointsman.evaluation import metrics
from pointsman.evaluation.dataset import EvaluationRow
from pointsman.evaluation.metrics import CoveragePoint, Floats, Ints, LabelScore, ReliabilityBin
from pointsman.evaluation.provenance import Provenance
from pointsman.evaluation.reader import TextPredictions
from pointsman.evaluation.scheme import CategoryScheme, Scheme
from pointsman.improve.labels_file import OUT_OF_SCOPE
from pointsman.intervals import share_interval

MAX_MISTAKES = 50
STEPS = 100  # of the curve's thresholds, from 0 to 1


@dataclass(frozen=True, slots=True)
class Proportion:
    """`part` of `whole`, with Wilson's 95 % interval."""

    part: int
    whole: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class InScopeMetrics:
    """Figures of the rows that have a class."""

    accuracy: Proportion
    right_model: Proportion | None
    """Rows that the right model answers, whatever their category; None without a config."""
    macro_f1: float
    calibration_error: float
    labels: dict[str, LabelScore]
    confusion: list[list[int]]
    """Rows by true class (first index) and chosen class, in the order of `EvaluationReport.classes`."""
    reliability: list[ReliabilityBin]
    curve: list[CoveragePoint]
    """Coverage and accuracy of the most probable class at STEPS thresholds and at those of `Thresholds`."""


@dataclass(frozen=True, slots=True)
class OutOfScopeMetrics:
    """Rows that belong to no domain: `caught` if they were kept out of all domains; `chosen` counts them by class."""

    caught: Proportion
    threshold: float
    right: list[str]
    """The correct classes for these rows, at any confidence."""
    chosen: dict[str, int]


@dataclass(frozen=True, slots=True)
class Thresholds:
    suggested: float | None
    """The artifact's suggested threshold."""
    config: float | None


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Both errors at a class's threshold; None for a share of no rows.

    A row reaches the class if that has its highest score, and the score reaches the threshold.
    """

    threshold: float
    reach: Proportion | None
    """The share of the class's own rows that reach it; rows out of scope belong to a class that is no domain."""
    precision: Proportion | None
    """The share of the class's own among the rows that reach it."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds to tokenize and classify one of `timed` prompts on one thread; tokens of all prompts."""

    timed: int
    median_ms: float
    p95_ms: float
    median_tokens: float
    p95_tokens: float
    cut: int
    """Prompts of which only head and tail, `max_tokens` in all, were read."""
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """A misclassified row by its line, so that a report can be shared without the prompts."""

    line: int
    truth: str
    chosen: str
    confidence: float


@dataclass(frozen=True, slots=True)
class EvaluationReport:
    provenance: Provenance
    classes: list[str]
    rows: int
    judged: InScopeMetrics | None
    out_of_scope: OutOfScopeMetrics | None
    thresholds: Thresholds
    passed: dict[str, PrecisionRecall]
    """By class; rows that get the fallback for their language, or are not classified, do not count."""
    unsupported: int
    """Rows in a language that the artifact does not declare, which get the fallback with a config."""
    latency: Latency
    mistakes: list[Mistake]
    """Sorted by confidence, highest first."""


def evaluate(
    rows: Sequence[EvaluationRow],
    reading: TextPredictions,
    scheme: Scheme,
    origin: Provenance,
    decided: Sequence[str | None] = (),
) -> EvaluationReport:
    """Return the report on at least one row; `decided` are the categories that a config's router chose."""
    scores = scheme.scores(reading.probabilities)
    if isinstance(scheme, CategoryScheme) and decided:
        chosen = scheme.classes(decided)
    else:
        chosen = scheme.chosen(reading.probabilities, reading.supported)
    inside = np.array([row.truth is not None for row in rows])
    truth = np.array([row.truth for row in rows if row.truth is not None], dtype=np.int64)
    config = scheme.threshold if isinstance(scheme, CategoryScheme) else None
    thresholds = Thresholds(suggested=origin.artifact.suggested_threshold, config=config)
    caught = scheme.caught(reading.probabilities, chosen)
    wrong = np.ones(len(rows), dtype=bool)
    wrong[inside] = chosen[inside] != truth
    wrong[~inside] = ~caught[~inside]
    return EvaluationReport(
        provenance=origin,
        classes=list(scheme.names),
        rows=len(rows),
        judged=_judge(truth, scores[inside], chosen[inside], scheme, thresholds) if inside.any() else None,
        out_of_scope=None if inside.all() else _out_of_scope(caught[~inside], chosen[~inside], scheme),
        thresholds=thresholds,
        passed=_passed(rows, reading, scores, scheme),
        unsupported=int((~reading.supported).sum()),
        latency=_latency(reading),
        mistakes=_mistakes(rows, np.flatnonzero(wrong), chosen, scores.max(axis=-1), scheme),
    )


def share(part: int, whole: int) -> Proportion:
    """Return a share of at least one row, with its interval."""
    return Proportion(part, whole, part / whole, *share_interval(part, whole))


def _part(part: int, whole: int) -> Proportion | None:
    return share(part, whole) if whole else None


def _passed(
    rows: Sequence[EvaluationRow], reading: TextPredictions, scores: Floats, scheme: Scheme
) -> dict[str, PrecisionRecall]:
    confidence = scores.max(axis=-1)
    counted = (confidence > 0) & (reading.supported | (not isinstance(scheme, CategoryScheme)))
    best = np.where(counted, scores.argmax(axis=-1), -1)
    found = {}
    for position, (name, threshold) in enumerate(
        zip(scheme.names, scheme.min_confidences, strict=False)
    ):  # NONE has no scores
        own = np.array([name in scheme.outside if row.truth is None else row.truth == position for row in rows])
        reaching = (best == position) & (confidence >= threshold)
        right = int((own & reaching).sum())
        found[name] = PrecisionRecall(threshold, _part(right, int(own.sum())), _part(right, int(reaching.sum())))
    return found


def _judge(truth: Ints, scores: Floats, chosen: Ints, scheme: Scheme, thresholds: Thresholds) -> InScopeMetrics:
    matrix = metrics.confusion(truth, chosen, len(scheme.names))
    by_label = metrics.label_scores(matrix)
    confidence, right = scores.max(axis=-1), scores.argmax(axis=-1) == truth
    marks = {mark for mark in (thresholds.suggested, thresholds.config) if mark is not None}
    steps = sorted({step / STEPS for step in range(STEPS + 1)} | marks)
    return InScopeMetrics(
        accuracy=share(int((chosen == truth).sum()), len(truth)),
        right_model=_right_model(truth, chosen, scheme) if isinstance(scheme, CategoryScheme) else None,
        macro_f1=metrics.macro_f1(by_label),
        calibration_error=metrics.expected_calibration_error(confidence, right),
        labels=dict(zip(scheme.names, by_label, strict=True)),
        confusion=matrix.tolist(),
        reliability=metrics.reliability(confidence, right),
        curve=metrics.coverage_curve(confidence, right, steps),
    )


def _right_model(truth: Ints, chosen: Ints, scheme: CategoryScheme) -> Proportion:
    models = np.array(scheme.models())
    return share(int((models[truth] == models[chosen]).sum()), len(truth))


def _out_of_scope(caught: metrics.Bools, chosen: Ints, scheme: Scheme) -> OutOfScopeMetrics:
    counts = Counter(scheme.names[position] for position in chosen.tolist())
    return OutOfScopeMetrics(
        caught=share(int(caught.sum()), len(caught)),
        threshold=scheme.threshold,
        right=list(scheme.outside),
        chosen=dict(counts.most_common()),
    )


def _latency(reading: TextPredictions) -> Latency:
    median_ms, p95_ms = np.percentile(reading.seconds * 1000, (50, 95)).tolist()
    median_tokens, p95_tokens = np.percentile(reading.tokens, (50, 95)).tolist()
    return Latency(
        timed=len(reading.seconds),
        median_ms=median_ms,
        p95_ms=p95_ms,
        median_tokens=median_tokens,
        p95_tokens=p95_tokens,
        cut=reading.cut,
        max_tokens=reading.max_tokens,
    )


def _mistakes(
    rows: Sequence[EvaluationRow], wrong: Ints, chosen: Ints, confidence: Floats, scheme: Scheme
) -> list[Mistake]:
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:MAX_MISTAKES]
    return [
        Mistake(
            line=rows[i].line,
            truth=OUT_OF_SCOPE if (truth := rows[i].truth) is None else scheme.names[truth],
            chosen=scheme.names[chosen[i]],
            confidence=float(confidence[i]),
        )
        for i in worst.tolist()
    ]

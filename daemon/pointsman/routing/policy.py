"""Choose a category by probabilities and by the conversation's category; pure, except for a cache of scores."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pointsman.classify.calibration import Calibration
from pointsman.config.labels import cover
from pointsman.config.model import Config
from pointsman.routing.decision import CategoryChoice, MissedThreshold, Reason, RunnerUp
from pointsman.routing.subject import FITTED, Features, Weights, evidence_of
from pointsman.routing.thresholds import Threshold, ThresholdOrigin, at_precision, thresholds

# A switch discards vLLM's prefix cache, so its margin grows with the history: from this many bytes on, twofold.
LONG_HISTORY = 64 * 1024
# Texts in the classifier's cache come again: remember the scores and choices for this many results.
KNOWN = 1024


class FollowUp(msgspec.Struct, frozen=True, gc=False):
    """The conversation's category, which a follow-up keeps unless the `ask` is about another.

    `before` is the beginning of the last ask and of its answer, and `context` the part of it that is read before the
    ask. `size` is the number of bytes of the history. `together` is the score of the category if the ask is read with
    `context`, or None if not read. `seconds` is the time for this reading.
    """

    category: str
    ask: str
    before: str = ""
    context: str = ""
    size: int = 0
    together: float | None = None
    seconds: float = 0.0


class Policy:
    """The categories of one config, for the labels of one classifier."""

    def __init__(
        self,
        config: Config,
        labels: Sequence[str],
        judge: Weights = FITTED,
        calibration: Calibration | None = None,
    ) -> None:
        """`judge` tells changes of subject from follow-ups; `calibration` is that of the classifier."""
        self._config = config
        self._judge = judge
        self._calibration = calibration
        self._labels = labels
        self._common = config.classifier.category_model.threshold
        self.thresholds = thresholds(config, labels, calibration)
        self._categories = {category.name: category for category in config.categories}
        coverage = cover(config, labels)
        self.rest = coverage.rest
        """The category for texts that no other category covers, or None."""
        index = {label: position for position, label in enumerate(labels)}
        self._covered = {name: tuple(index[label] for label in coverage.labels_of[name]) for name in self._categories}
        self._known_scores: Callable[[tuple[float, ...]], dict[str, float]] = functools.lru_cache(KNOWN)(self.scores)
        self._known_choice: Callable[[tuple[float, ...]], CategoryChoice] = functools.lru_cache(KNOWN)(self._afresh)

    @functools.cached_property
    def forgetful(self) -> Policy:
        """Return the same policy without a memory: a microsecond less would tell of other clients' texts."""
        policy = copy.copy(self)
        policy._known_scores, policy._known_choice = self.scores, self._afresh
        return policy

    def knows(self, category: str) -> bool:
        """Return whether the config has this category; a conversation may remember one of an earlier config."""
        return category in self._categories

    def threshold(self, category: str | None) -> float:
        """Return the score from which a category is chosen; for None, the one from which no category is."""
        found = self.thresholds.get(category or "")
        return self._common if found is None else found.value

    @functools.cached_property
    def at_precision(self) -> dict[str, Threshold]:
        """Return what the thresholds would be at SHOWN_PRECISION."""
        return at_precision(self._config, self._labels, self._calibration)

    def origin(self, category: str | None) -> ThresholdOrigin:
        """Return the origin of that threshold."""
        found = self.thresholds.get(category or "")
        return ThresholdOrigin.COMMON if found is None else found.origin

    def scores(self, probabilities: Sequence[float]) -> dict[str, float]:
        """Return the score of each category: the sum of the probabilities of its labels."""
        score = probabilities.__getitem__
        return {name: sum(map(score, labels)) for name, labels in self._covered.items()}

    def choose(self, probabilities: Sequence[float], follow_up: FollowUp | None = None) -> CategoryChoice:
        """Return the best category, or the conversation's own (`follow_up`) or the fallback.

        Without a conversation, the fallback is used if the best category does not reach its threshold.
        """
        known = tuple(probabilities)
        if follow_up is not None:
            scores = self._known_scores(known)
            if follow_up.category in scores and not self._ends(follow_up, scores):
                return CategoryChoice(follow_up.category, scores[follow_up.category], Reason.STICKY)
        return self._known_choice(known)

    def _afresh(self, probabilities: tuple[float, ...]) -> CategoryChoice:
        """Return the choice if no conversation counts."""
        scores = self.scores(probabilities)
        if not scores:
            return CategoryChoice(self.fallback, 0.0, Reason.NO_CATEGORY)
        best = max(scores, key=scores.__getitem__)
        score, threshold, near = scores[best], self.thresholds[best], _near(scores, best)
        if score >= threshold.value:
            return CategoryChoice(best, score, Reason.CLASSIFIED, threshold=threshold, near=near)
        if 1.0 - sum(scores.values()) >= max(self._common, score):
            return CategoryChoice(self.fallback, score, Reason.NO_CATEGORY, threshold=threshold, near=near)
        missed = MissedThreshold(best, threshold.value)
        return CategoryChoice(self.fallback, score, Reason.LOW_CONFIDENCE, missed, threshold=threshold, near=near)

    def evidence(self, follow_up: FollowUp, scores: dict[str, float]) -> Features:
        """Return the evidence whether an ask with these scores is about something else."""
        other, score = self._best_other(scores, follow_up.category)
        together = 1.0 if follow_up.together is None else follow_up.together
        return evidence_of(follow_up.ask, follow_up.before, score, together, rest=other is None or other == self.rest)

    def _best_other(self, scores: dict[str, float], category: str) -> tuple[str | None, float]:
        """Return the best other category and its score; None stands for no category."""
        others: list[tuple[str | None, float]] = [(None, 1.0 - sum(scores.values()))]
        others += [(name, score) for name, score in scores.items() if name != category]
        return max(others, key=lambda other: other[1])

    def _ends(self, follow_up: FollowUp, scores: dict[str, float]) -> bool:
        """Return whether an ask is so surely about something else that its conversation changes its category.

        An ask that was not read with what was before is not sure.
        """
        if scores[follow_up.category] > self._best_other(scores, follow_up.category)[1]:
            return scores[follow_up.category] >= self.threshold(follow_up.category)
        return (
            follow_up.together is not None
            and self._leads(follow_up, scores)
            and self._judge.changed(self.evidence(follow_up, scores))
        )

    def may_end(self, probabilities: Sequence[float], follow_up: FollowUp) -> bool:
        """Return whether an ask may be about something else, and must be read with what was before."""
        scores = self._known_scores(tuple(probabilities))
        return follow_up.category in scores and self._leads(follow_up, scores)

    def _leads(self, follow_up: FollowUp, scores: dict[str, float]) -> bool:
        """Return whether another category leads.

        It must reach its threshold, or the common one if no category covers the ask; and any but the rest category must
        lead by the margin.
        """
        own = scores[follow_up.category]
        other, score = self._best_other(scores, follow_up.category)
        if own > score or score < self.threshold(other):
            return False
        rest = other is None or other == self.rest
        margin = self._config.pointsman.routing.switch_margin * (1 + min(1.0, follow_up.size / LONG_HISTORY))
        return rest or score - own > margin

    @property
    def fallback(self) -> str | None:
        """Return the category that is used when no other applies."""
        return self._config.classifier.category_model.fallback_category


def _near(scores: Mapping[str, float], best: str) -> RunnerUp | None:
    """Return the second category, if it has at least half of the best one's score."""
    second = max(((score, name) for name, score in scores.items() if name != best), default=(0.0, ""))
    return RunnerUp(second[1], round(second[0], 4)) if second[0] and 2 * second[0] >= scores[best] else None

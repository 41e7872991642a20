"""Choose a category by probabilities and by the conversation's category; pure, except for a cache of scores."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from pointsman.classify.calibration import Calibration
from pointsman.classify.described import DescribedHead
from pointsman.config.labels import cover
from pointsman.config.model import Config
from pointsman.routing.decision import CategoryChoice, MissedThreshold, Reason, RunnerUp
from pointsman.routing.subject import FITTED, Features, Weights, evidence_of
from pointsman.routing.thresholds import Threshold, ThresholdOrigin, at_precision, thresholds

# A switch discards vLLM's prefix cache, so its margin grows with the history: from this many bytes on, twofold.
LONG_HISTORY = 64 * 1024
# Texts in the classifier's cache come again: remember the scores and choices for this many results.
KNOWN = 1024


MIN_SHARE = 0.15
"""A described category must have this share of the probability of all described ones, fitted on `benchmarks/fleets`."""


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


class CategoryScores(NamedTuple):
    """Two numbers for each category: `shown` is held against its threshold, and the greatest `joint` one wins.

    Without described categories they are the same. The joint ones are probabilities that exclude each other: their sum
    and the probability of none is 1.
    """

    shown: dict[str, float]
    joint: dict[str, float]


class Policy:
    """The categories of one config, for the labels of one classifier, and for what a head gives for those described.

    `scores` of a text are the probabilities of the labels, then those of the described categories and of nobody.
    """

    def __init__(
        self,
        config: Config,
        labels: Sequence[str],
        judge: Weights = FITTED,
        calibration: Calibration | None = None,
        head: DescribedHead | None = None,
    ) -> None:
        """`judge` tells changes of subject from follow-ups; `calibration` is that of the classifier.

        `head` has scores for the described categories, if there are any.
        """
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
        described = () if head is None else head.categories
        self._described = {name: len(labels) + position for position, name in enumerate(described)}
        self._languages = {} if head is None else head.languages
        self._covered = {
            name: tuple(index[label] for label in coverage.labels_of[name])
            for name in self._categories
            if name not in self._described
        }
        self._known_scores: Callable[[tuple[float, ...]], CategoryScores] = functools.lru_cache(KNOWN)(self._both)
        self._known_choice: Callable[[tuple[float, ...]], CategoryChoice] = functools.lru_cache(KNOWN)(self._afresh)

    @functools.cached_property
    def forgetful(self) -> Policy:
        """Return the same policy without a memory: a microsecond less would tell of other clients' texts."""
        policy = copy.copy(self)
        policy._known_scores, policy._known_choice = self._both, self._afresh
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

    def scores(self, scores: Sequence[float]) -> dict[str, float]:
        """Return the score of each category, which is held against its threshold.

        It is the sum of the probabilities of its labels or, if it is described, how much likelier it is than nobody.
        """
        return self._both(scores).shown

    def likeliest(self, scores: Sequence[float]) -> str | None:
        """Return the likeliest category, whatever its threshold; None if there is no category."""
        joint = self._both(scores).joint
        return max(joint, key=joint.__getitem__, default=None)

    def _both(self, scores: Sequence[float]) -> CategoryScores:
        score = scores.__getitem__
        covered = {name: sum(map(score, labels)) for name, labels in self._covered.items()}
        if not self._described:
            return CategoryScores(covered, covered)
        own, nobody = {name: score(position) for name, position in self._described.items()}, scores[-1]
        shown = {name: value / (value + nobody) for name, value in own.items()} | covered
        joint = own | {name: value * nobody for name, value in covered.items()}
        return CategoryScores(*({name: one[name] for name in self._categories} for one in (shown, joint)))

    def choose(self, scores: Sequence[float], follow_up: FollowUp | None = None) -> CategoryChoice:
        """Return the best category, or the conversation's own (`follow_up`) or the fallback.

        Without a conversation, the fallback is used if the best category does not reach its threshold.
        """
        known = tuple(scores)
        if follow_up is not None:
            both = self._known_scores(known)
            if follow_up.category in both.joint and not self._ends(follow_up, both):
                return CategoryChoice(follow_up.category, both.shown[follow_up.category], Reason.STICKY)
        return self._known_choice(known)

    def choose_described(self, described: Sequence[float], language: str | None) -> CategoryChoice | None:
        """Return the described category that a text belongs to in a language that labels do not know, or None.

        A category with examples is for their languages.
        """
        fits = [language in self._languages.get(name, (language,)) for name in self._described]
        scores = [score if fit else 0.0 for score, fit in zip(described, [*fits, True], strict=False)]
        return self.choose_by_description(scores)

    def choose_by_description(self, described: Sequence[float]) -> CategoryChoice | None:
        """Return the described category that a text belongs to if no label counts, or None."""
        if not self._described:
            return None
        choice = self._known_choice((*[0.0] * len(self._labels), *described))
        return choice if choice.reason is Reason.CLASSIFIED else None

    def _afresh(self, scores: tuple[float, ...]) -> CategoryChoice:
        """Return the choice if no conversation counts."""
        both = self._both(scores)
        shown, joint = both
        if not shown:
            return CategoryChoice(self.fallback, 0.0, Reason.NO_CATEGORY)
        best = max(self._candidates(shown) or joint, key=joint.__getitem__)
        score, threshold, near = shown[best], self.thresholds[best], _near(both, best)
        if score >= threshold.value:
            if best in self._described and joint[best] < MIN_SHARE * sum(joint[name] for name in self._described):
                return CategoryChoice(self.fallback, score, Reason.AMBIGUOUS, threshold=threshold, near=near)
            return CategoryChoice(best, score, Reason.CLASSIFIED, threshold=threshold, near=near)
        if 1.0 - sum(joint.values()) >= max(self._common, joint[best]):
            return CategoryChoice(self.fallback, score, Reason.NO_CATEGORY, threshold=threshold, near=near)
        missed = MissedThreshold(best, threshold.value)
        return CategoryChoice(self.fallback, score, Reason.LOW_CONFIDENCE, missed, threshold=threshold, near=near)

    def _candidates(self, shown: dict[str, float]) -> list[str]:
        """Return the categories that may win: a described one that misses its threshold leaves room for labels."""
        least = self.thresholds
        return [name for name, score in shown.items() if self._covered.get(name) or score >= least[name].value]

    def evidence(self, follow_up: FollowUp, scores: dict[str, float]) -> Features:
        """Return the evidence whether an ask with these joint scores is about something else."""
        other, score = self._best_other(scores, follow_up.category)
        together = 1.0 if follow_up.together is None else follow_up.together
        return evidence_of(follow_up.ask, follow_up.before, score, together, rest=other is None or other == self.rest)

    def _best_other(self, scores: dict[str, float], category: str) -> tuple[str | None, float]:
        """Return the best other category and its score; None stands for no category."""
        others: list[tuple[str | None, float]] = [(None, 1.0 - sum(scores.values()))]
        others += [(name, score) for name, score in scores.items() if name != category]
        return max(others, key=lambda other: other[1])

    def _ends(self, follow_up: FollowUp, both: CategoryScores) -> bool:
        """Return whether an ask is so surely about something else that its conversation changes its category.

        An ask that was not read with what was before is not sure.
        """
        if both.joint[follow_up.category] > self._best_other(both.joint, follow_up.category)[1]:
            return both.shown[follow_up.category] >= self.threshold(follow_up.category)
        return (
            follow_up.together is not None
            and self._leads(follow_up, both)
            and self._judge.changed(self.evidence(follow_up, both.joint))
        )

    def may_end(self, scores: Sequence[float], follow_up: FollowUp) -> bool:
        """Return whether an ask may be about something else, and must be read with what was before."""
        both = self._known_scores(tuple(scores))
        return follow_up.category in both.joint and self._leads(follow_up, both)

    def _leads(self, follow_up: FollowUp, both: CategoryScores) -> bool:
        """Return whether another category leads.

        It must reach its threshold, or the common one if no category covers the ask; and any but the rest category must
        lead by the margin.
        """
        own = both.joint[follow_up.category]
        other, score = self._best_other(both.joint, follow_up.category)
        if own > score or both.shown.get(other or "", score) < self.threshold(other):
            return False
        rest = other is None or other == self.rest
        margin = self._config.pointsman.routing.switch_margin * (1 + min(1.0, follow_up.size / LONG_HISTORY))
        return rest or score - own > margin

    @property
    def fallback(self) -> str | None:
        """Return the category that is used when no other applies."""
        return self._config.classifier.category_model.fallback_category


def _near(both: CategoryScores, best: str) -> RunnerUp | None:
    """Return the second category, if it is at least half as likely as the best one."""
    score, name = max(((score, name) for name, score in both.joint.items() if name != best), default=(0.0, ""))
    return RunnerUp(name, round(both.shown[name], 4)) if score and 2 * score >= both.joint[best] else None

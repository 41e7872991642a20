"""Count one side of an experiment, in bounded memory."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from pointsman.experiments.sequential import Moments, Sample, Share
from pointsman.intervals import share_interval
from pointsman.lru import Lru
from pointsman.observability.feedback_file import FeedbackLine

# Clients may make up any number of labels; later ones are counted together, and so are further authors.
MAX_KNOWN_LABELS = 20
OTHERS = "*"
MAX_SHOWN_LABELS = 5


@dataclass(slots=True)
class ConversationOutcome:
    """The facts about a conversation on one side."""

    failed: bool = False
    first_byte: float | None = None
    """In milliseconds, of its first request that was answered."""
    tokens: int = 0
    cost: float = 0.0


@dataclass(slots=True)
class Rating:
    """One author's feedback on a conversation's answers on one side."""

    scores: int = 0
    total: float = 0.0
    labels: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _AuthorRatings:
    """One author's mean scores of conversations, and the number of those with a label, and with the judged one."""

    scores: Moments = field(default_factory=Moments)
    labelled: int = 0
    judged: int = 0


class Tally:
    """The counts of one side; the last `max_conversations` that had requests are remembered.

    One that comes back later counts as another. The feedback of the last `max_rated` is remembered, and `max_authors`
    are counted separately: all others count as one. `judged_label` is one to be judged by author.
    """

    def __init__(
        self, name: str, max_conversations: int, max_rated: int, max_authors: int, judged_label: str | None = None
    ) -> None:
        self.name = name
        self.requests = 0
        self._failed = 0
        self._first_bytes = Moments()
        self._tokens = Moments()
        self._costs = Moments()
        self._known: Lru[str, ConversationOutcome] = Lru(max_conversations)
        self._rated: Lru[str, Rating] = Lru(max_rated)
        self._max_authors = max_authors
        self._authors: dict[str, _AuthorRatings] = {}
        self._scores = Moments()
        self._judged_label = judged_label
        self.labels: Counter[str] = Counter()
        """The number of conversations with each label."""
        self._labelled = 0
        self.good = self.bad = 0

    @property
    def forgotten(self) -> int:
        """Return the number of conversations that are no longer remembered."""
        return self._known.evicted + self._rated.evicted

    def add(self, draw: str, *, failed: bool, first_byte: float | None, tokens: int, cost: float) -> None:
        """Count a request of the conversation that was drawn with `draw`; `first_byte` is in milliseconds."""
        self.requests += 1
        one = self._known.get(draw)
        if one is None:
            one = ConversationOutcome()
            self._tokens.add(0.0)
            self._costs.add(0.0)
        self._known.put(draw, one)
        if failed and not one.failed:
            one.failed = True
            self._failed += 1
        if one.first_byte is None and not failed and first_byte:
            one.first_byte = first_byte
            self._first_bytes.add(math.log(first_byte))
        self._tokens.change(one.tokens, one.tokens + tokens)
        self._costs.change(one.cost, one.cost + cost)
        one.tokens += tokens
        one.cost += cost

    def rate(self, draw: str, score: float | None, label: str | None, author: str) -> None:
        """Count an author's feedback on an answer in a conversation."""
        said = FeedbackLine(event="feedback", score=score, label=label)
        self.good += said.is_good
        self.bad += said.is_bad
        if author not in self._authors and len(self._authors) >= self._max_authors - 1:
            author = OTHERS
        own = self._authors.setdefault(author, _AuthorRatings())
        rated = f"{draw} {author}"
        one = self._rated.get(rated) or Rating()
        self._rated.put(rated, one)
        if score is not None:
            before = one.total / one.scores if one.scores else None
            one.scores += 1
            one.total += score
            after = one.total / one.scores
            for moments in (self._scores, own.scores):
                if before is None:
                    moments.add(after)
                else:
                    moments.change(before, after)
        if label is not None and label not in one.labels:
            is_known = label in self.labels or label == self._judged_label
            if not is_known and len(self.labels) >= MAX_KNOWN_LABELS:
                label = OTHERS
            self._labelled += not one.labels
            own.labelled += not one.labels
            own.judged += label == self._judged_label
            self.labels[label] += label not in one.labels
            one.labels.add(label)

    def failures(self) -> tuple[int, int]:
        """Return the number of failed conversations, and of all."""
        return self._failed, self._tokens.rows

    def first_bytes(self) -> Sample:
        """Return the logarithms of the times to the first byte."""
        return self._first_bytes.sample()

    def scored(self) -> Collection[Share]:
        """Return the sum of the conversations' mean scores, and their number, by author."""
        found = [one.scores for one in self._authors.values() if one.scores.rows]
        return [(min(max(0.0, one.total), one.rows), one.rows) for one in found]

    def judged(self) -> Collection[Share]:
        """Return the number of conversations with the judged label, and with any, by author."""
        return [(one.judged, one.labelled) for one in self._authors.values() if one.labelled]

    def labelled(self, label: str) -> tuple[int, int]:
        """Return the number of conversations with a label, and with any."""
        return self.labels[label], self._labelled

    def figures(self, labels: Iterable[str]) -> dict[str, Any]:
        """Return the counts, and means and the shares of labels with their 95 % intervals."""
        failed, conversations = self.failures()
        return {
            "name": self.name,
            "requests": self.requests,
            "conversations": conversations,
            "failed": _share(failed, conversations),
            "first_byte_ms": _mean(self.first_bytes(), math.exp),
            "tokens": _mean(self._tokens.sample()),
            "cost": _mean(self._costs.sample()),
            "authors": len(self._authors),
            "good": self.good,
            "bad": self.bad,
            "score": _mean(self._scores.sample()),
            "labels": {name: _share(*self.labelled(name)) for name in labels},
        }


def _share(part: int, whole: int) -> dict[str, float] | None:
    if not whole:
        return None
    low, high = share_interval(part, whole)
    return {"value": part / whole, "low": low, "high": high}


def _mean(sample: Sample, of: Callable[[float], float] = lambda value: max(0.0, value)) -> dict[str, float] | None:
    if sample.rows < 2:
        return None
    low, high = sample.interval()
    return {"value": of(sample.mean), "low": of(low), "high": of(high)}


def frequent_labels(first: Tally, second: Tally) -> list[str]:
    """Return the labels to show: the most frequent of both sides, without those that one side has counted as others."""
    counted = (
        name
        for name, _ in (first.labels + second.labels).most_common()
        if all(name in side.labels or OTHERS not in side.labels for side in (first, second))
    )
    return list(itertools.islice(counted, MAX_SHOWN_LABELS))

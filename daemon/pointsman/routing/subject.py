"""Judge whether a follow-up is about another subject than its conversation; pure.

The classifier reads an ask alone, and is surer than it can be: most follow-ups refer to what was said, and it
confidently calls "would that be enough?" small talk. So a logistic rule weighs its score with the evidence of the
words, and with the classification of the ask after the one before and its answer.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pointsman.routing.follow_up import leans, own_words

# A score that is nearer to 0 or 1 says no more.
MIN_SCORE = 0.002
# Words are alike if this many first letters are; more common words than this say no more.
STEM = 5
MAX_SHARED_WORDS = 2


class Features(NamedTuple):
    """The evidence about a follow-up.

    `score` is the log-odds of the best score of another category; `rest` tells whether that is the rest category. `own`
    is the logarithm of one more than the number of words that name a subject, and `shared` how many of these words, up
    to MAX_SHARED_WORDS, the last ask or its answer has. `leans` is the result of `follow_up.leans`. `together` is the
    log-odds of the conversation's own category, if the ask is read with the last one and its answer.
    """

    score: float
    rest: float
    own: float
    shared: float
    leans: float
    together: float


class Weights(NamedTuple):
    """The weights of a logistic rule: a constant, and one for each piece of evidence."""

    always: float
    of: Features

    def changed(self, evidence: Features) -> bool:
        """Return whether a follow-up is about another subject."""
        return self.always + sum([weight * value for weight, value in zip(self.of, evidence, strict=True)]) > 0


FITTED = Weights(-0.96, Features(score=0.54, rest=-1.73, own=1.18, shared=-0.9, leans=-1.98, together=-0.24))
"""Fitted by benchmarks/ask/judge.py to the rows of turns.jsonl, turns_second.jsonl and turns_fourth.jsonl."""
ASK_CHARACTERS, ANSWER_CHARACTERS = 200, 200
"""The length of the last ask and of its answer that are read before an ask; the weights are fitted for it."""


def evidence_of(ask: str, before: str, score: float, together: float, *, rest: bool) -> Features:
    """Return the evidence of an ask; `before` is the last ask and its answer, `score` that of the other category.

    `together` is the score of its conversation's own, read with `before`.
    """
    own = own_words(ask)
    shared = {word[:STEM] for word in own} & {word[:STEM] for word in own_words(before)}
    return Features(
        score=_log_odds(score),
        rest=rest,
        own=math.log1p(len(own)),
        shared=min(MAX_SHARED_WORDS, len(shared)),
        leans=leans(ask),
        together=_log_odds(together),
    )


def _log_odds(score: float) -> float:
    score = min(max(score, MIN_SCORE), 1 - MIN_SCORE)
    return math.log(score / (1 - score))

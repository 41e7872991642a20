"""Ask a small artifact first, and a larger one only about the texts of which the small one is not sure."""

from __future__ import annotations

import time
from dataclasses import replace

from pointsman.classify.classifier import Classification, Classifier, Passed, Sure, Timing
from pointsman.errors import ClassifierError


class Cascade:
    """Two classifiers with the same labels; `deadline` bounds both together, in seconds.

    Each has its own cache, so a text that comes again runs in neither.
    """

    def __init__(self, first: Classifier, larger: Classifier, deadline: float) -> None:
        self.labels = first.labels
        self.stages = (first, larger)
        self.passed = Passed()
        self._deadline = deadline
        self._languages = frozenset(larger.artifact.manifest.languages)

    @property
    def healthy(self) -> bool:
        """Return False once one of both cannot classify any more, or while one of its workers hangs."""
        return all(stage.healthy for stage in self.stages)

    @property
    def at_once(self) -> int:
        """Return about how many texts the first one's workers can process at once."""
        return self.stages[0].at_once

    async def classify(
        self, text: str, deadline: float | None = None, sure: Sure | None = None, client: str = ""
    ) -> Classification:
        """Classify a text; raises what the first classifier raises. May be cancelled.

        If the larger one fails or has no time left, the answer is the first one's and says why.
        """
        first, larger = self.stages
        started = time.perf_counter()
        found = await first.classify(text, deadline, client=client)
        if self._stands(found, sure):
            return found
        self.passed.texts += 1
        left = (self._deadline if deadline is None else deadline) - (time.perf_counter() - started)
        try:
            better = await larger.classify(text, left, client=client)
        except ClassifierError as error:
            self.passed.unanswered += 1
            return replace(found, unanswered=error.reason)
        source = better.source if found.source == "hit" else found.source
        return replace(better, timing=_sum(found.timing, better.timing), source=source, stage=1)

    def _stands(self, found: Classification, sure: Sure | None) -> bool:
        """Return whether the larger one need not be asked: the first is sure, or neither reads the language."""
        if not found.supported:
            return bool(self._languages) and found.language not in self._languages
        return sure is not None and sure(found.probabilities)

    def close(self) -> None:
        """Close both; the cascade cannot be used afterwards."""
        for stage in self.stages:
            stage.close()


def _sum(one: Timing, other: Timing) -> Timing:
    return Timing(one.queue + other.queue, one.tokenize + other.tokenize, one.infer + other.infer)

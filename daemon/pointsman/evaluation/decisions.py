"""Decide labeled requests as the service does, without its history: by their asks, with the router itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.calibration import Calibration
from pointsman.classify.classification import Classification, Timing
from pointsman.classify.classifier import Classifier
from pointsman.classify.described import DescribedHead
from pointsman.config.model import Config
from pointsman.evaluation.dataset import EvaluationRow
from pointsman.evaluation.reader import TextPredictions, joined
from pointsman.formats import CHAT
from pointsman.routing.parsed_request import parse_request
from pointsman.routing.router import RoutedRequest, Router

# An ask may be read with the text before once it is known; the third pass needs no more. One to spare.
MAX_PASSES = 4


@dataclass(frozen=True, slots=True)
class RowDecisions:
    """The decisions about n rows: their categories, the texts that they depend on, and the classification of these.

    A row that is not classified, such as a helper task, has an empty text and no probability of any label.
    """

    categories: list[str | None]
    texts: list[str]
    reading: TextPredictions


def decide(
    rows: Sequence[EvaluationRow],
    config: Config,
    labels: Sequence[str],
    read: Callable[[list[str]], TextPredictions],
    calibration: Calibration | None = None,
    head: DescribedHead | None = None,
) -> RowDecisions:
    """Return the decisions about at least one row.

    `read` classifies texts, by an artifact with this `calibration` and with this `head`.
    """
    found: dict[str, Classification] = {}
    readings: list[TextPredictions] = []
    for _ in range(MAX_PASSES):
        known = PrecomputedClassifier(labels, calibration, found, head)
        routed = _route(rows, config, known)
        texts = [text for text in known.texts if text not in found] or [""] * (not found)
        if not texts:
            break
        readings.append(read(texts))
        found |= zip(texts, results(readings[-1], len(labels)), strict=True)
    reading = joined(readings)
    position = {text: index for index, text in enumerate(found)}
    indices = np.array([-1 if one.classification is None else position[one.text] for one in routed])
    classified = indices >= 0
    return RowDecisions(
        [one.decision.category for one in routed],
        [one.text for one in routed],
        replace(
            reading,
            probabilities=np.where(classified[:, None], reading.probabilities[indices], 0.0),
            tokens=np.where(classified, reading.tokens[indices], 0),
            supported=~classified | reading.supported[indices],
        ),
    )


class PrecomputedClassifier:
    """A classifier with known results; `texts` are what it was asked for.

    Other texts count as in an undeclared language, so that they are no evidence.
    """

    def __init__(
        self,
        labels: Sequence[str],
        calibration: Calibration | None,
        results: dict[str, Classification] | None = None,
        head: DescribedHead | None = None,
    ) -> None:
        """Take the `head` that scored the texts of the results, if there is one."""
        self.labels = tuple(labels)
        self.head = head
        self.calibration = calibration
        self.texts: dict[str, None] = {}
        self._results = results or {}
        nobody = () if head is None else (*[0.0] * len(head.categories), 1.0)
        even = tuple(1 / len(labels) for _ in labels)
        self._unclassified = _result(even, 0, supported=False, described=nobody)

    async def classify(self, text: str, deadline: float | None = None, client: str = "") -> Classification:
        self.texts[text] = None
        return self._results.get(text, self._unclassified)


def _route(rows: Sequence[EvaluationRow], config: Config, known: PrecomputedClassifier) -> list[RoutedRequest]:
    """Route each row by itself."""
    router = Router(config, cast(Classifier, known), ServedModels)

    async def route() -> list[RoutedRequest]:
        return [await router.route(parse_request(CHAT, row.body, router.finder), remember=False) for row in rows]

    return asyncio.run(route())


def results(reading: TextPredictions, labels: int) -> list[Classification]:
    """Return the service's classification of each text, by an artifact with so many labels."""
    rows = zip(
        reading.probabilities.tolist(),
        reading.tokens.tolist(),
        reading.supported.tolist(),
        reading.languages,
        strict=True,
    )
    return [
        _result(tuple(scores[:labels]), tokens, language, supported=supported, described=tuple(scores[labels:]))
        for scores, tokens, supported, language in rows
    ]


def _result(
    probabilities: tuple[float, ...],
    tokens: int,
    language: str | None = None,
    *,
    supported: bool,
    described: tuple[float, ...] = (),
) -> Classification:
    return Classification(
        probabilities, tokens, False, Timing(), "run", language=language, supported=supported, described=described
    )

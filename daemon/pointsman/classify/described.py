"""Score the categories that texts describe, from the encoder's features of a prompt; pure functions.

A category that has examples is one class of a multinomial regression over the texts of all such categories, a category
with a description alone is scored by the angle between the prompt and its description. The last class is *nobody*: the
ordinary requests that come with the encoder, without those that are as near to a category's texts as these are to each
other. The constants were fitted on fleets of adapters with known prompts (`benchmarks/fleets`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pointsman.classify.regression import Objective, Vector, minimise, split

Floats = npt.NDArray[np.floating[Any]]
Languages = Mapping[str, frozenset[str]]
"""Category to the languages (ISO 639-1) of its examples; one without examples is for any language."""
EMPTY: Languages = {}

STRENGTH = 1e-3
"""Of the L2 penalty, for a loss that is the weighted mean of the texts'."""
NOBODY = 0.6
"""The weight of all ordinary requests together; the texts of a category weigh 1."""
FEW = 1.0
"""Added to the logit of a category, divided by its number of examples: the penalty makes those of few too small."""
ANGLE_SCALE, ANGLE_MIDDLE = 10.0, 0.22
"""The logit of a category without examples is the scale times the cosine's distance to the middle."""
MIN_GIVEN = 0.5
"""The part of a category's weight, and of nobody's, that texts have which no model wrote, whatever their number."""
MIN_NEAR_TEXTS = 4
"""Fewer texts of a category do not tell how near they are to each other."""
_MIN_DEVIATION = 1e-3
"""Added to a feature's deviation, as a share of the mean one."""


@dataclass(frozen=True, slots=True, eq=False)
class CategoryTexts:
    """The features of a category's texts, float32, each [texts, width]; there is at least one description.

    `taught` are prompts that a model wrote or judged, not people.
    """

    descriptions: Floats
    examples: Floats
    taught: Floats | None = None

    @property
    def given(self) -> Floats:
        """Return the texts that people gave, descriptions included [texts, width]."""
        return np.concatenate([self.descriptions, self.examples])

    @property
    def prompts(self) -> int:
        """Return how many texts show what people send."""
        return len(self.examples) + (0 if self.taught is None else len(self.taught))


@dataclass(frozen=True, slots=True, eq=False)
class DescribedHead:
    """The scores of described categories and of nobody; made by `fit`."""

    categories: tuple[str, ...]
    languages: Languages
    key: str
    """A hash of all that it was made of."""
    mean: Floats
    deviation: Floats
    fitted: tuple[int, ...]
    """The positions of the categories that have examples."""
    weights: Floats
    """Shape [fitted categories, width], on scaled features."""
    bias: Floats
    angled: tuple[int, ...]
    """The positions of the others."""
    directions: Floats
    """Shape [other categories, width], each of length 1."""

    def probabilities(self, features: Floats) -> Floats:
        """Return the probabilities of features [texts, width], shape [texts, categories + 1]; nobody is last."""
        logits = np.zeros((len(features), len(self.categories) + 1), np.float32)
        centered = features - self.mean
        logits[:, self.fitted] = _units(centered / self.deviation) @ self.weights.T + self.bias
        logits[:, self.angled] = ANGLE_SCALE * (_units(centered) @ self.directions.T - ANGLE_MIDDLE)
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        result: Floats = exponents / exponents.sum(axis=1, keepdims=True)
        return result


def fit(
    categories: dict[str, CategoryTexts],
    ordinary: Floats,
    key: str,
    languages: Languages = EMPTY,
    taught: Floats | None = None,
) -> DescribedHead:
    """Return the head of at least one category.

    `ordinary` are features of requests, `taught` those of prompts that a model found to be of no category, both with
    shape [requests, width].
    """
    mean = ordinary.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = ordinary.std(axis=0, dtype=np.float64)
    deviation = (deviation + _MIN_DEVIATION * (deviation.mean() or 1.0)).astype(np.float32)
    texts = list(categories.values())
    fitted = tuple(at for at, one in enumerate(texts) if one.prompts)
    angled = tuple(at for at, one in enumerate(texts) if not one.prompts)
    width = ordinary.shape[1]
    weights, bias = np.zeros((0, width), np.float32), np.zeros(0, np.float32)
    if fitted:

        def scaled(features: Floats) -> Floats:
            return _units((features - mean) / deviation)

        groups = [_ClassTexts(scaled(texts[at].given), _of(scaled, texts[at].taught, width)) for at in fitted]
        weights, bias = _regression(groups, scaled(ordinary), _of(scaled, taught, width))
        bias += np.array([FEW / texts[at].prompts for at in fitted], np.float32)
    directions = np.zeros((len(angled), width), np.float32)
    for row, at in enumerate(angled):
        directions[row] = _units(_units(texts[at].descriptions - mean).sum(axis=0))
    return DescribedHead(tuple(categories), languages, key, mean, deviation, fitted, weights, bias, angled, directions)


class _ClassTexts(NamedTuple):
    """The scaled features of a class: of texts that people gave, and of taught ones; both [texts, width]."""

    given: Floats
    taught: Floats

    @property
    def texts(self) -> Floats:
        return np.concatenate(self)

    def weights(self) -> Vector:
        """Return the weight of each text; the sum is 1, of which those that people gave have half at least."""
        sizes = np.array([len(part) for part in self])
        share = max(MIN_GIVEN, sizes[0] / sizes.sum()) if sizes[1] else 1.0
        return np.repeat([share, 1 - share] / np.maximum(sizes, 1), sizes)


def _regression(groups: Sequence[_ClassTexts], ordinary: Floats, taught: Floats) -> tuple[Floats, Floats]:
    """Return weights and bias of each class of texts, less those of nobody."""
    nobody = ordinary[~_near([group.texts for group in groups], ordinary)]
    groups = [*groups, _ClassTexts(nobody if len(nobody) else ordinary, taught)]
    shares = [1.0] * (len(groups) - 1) + [NOBODY]
    rows = np.concatenate([group.texts for group in groups])
    truth = np.repeat(np.arange(len(groups)), [len(group.texts) for group in groups])
    weights = np.concatenate([share * group.weights() for share, group in zip(shares, groups, strict=True)])
    found = minimise(_loss(rows, np.eye(len(groups))[truth], weights / weights.sum()), _start(rows, len(groups)))
    matrix, bias = split(found, len(groups))
    return (matrix[:-1] - matrix[-1]).astype(np.float32), (bias[:-1] - bias[-1]).astype(np.float32)


def _start(rows: Floats, classes: int) -> Vector:
    return np.zeros(classes * (rows.shape[1] + 1))


def _near(texts: Sequence[Floats], ordinary: Floats) -> npt.NDArray[np.bool_]:
    """Return which ordinary requests are as near to a category's texts as half of these are to each other."""
    near = np.zeros(len(ordinary), dtype=bool)
    for own in texts:
        if len(own) < MIN_NEAR_TEXTS:
            continue
        between = own @ own.T
        np.fill_diagonal(between, -1.0)
        near |= (ordinary @ own.T).max(axis=1) >= np.median(between.max(axis=1))
    return near


def _loss(features: Floats, targets: Vector, weights: Vector) -> Objective:
    """Return the function that gives the weighted mean loss of the rows with its penalty, and the gradient."""

    def objective(point: Vector) -> tuple[float, Vector]:
        matrix, bias = split(point, targets.shape[1])
        logits = features @ matrix.T.astype(np.float32) + bias
        logits -= logits.max(axis=1, keepdims=True)
        exponents = np.exp(logits)
        totals = exponents.sum(axis=1, keepdims=True)
        loss = weights @ (np.log(totals[:, 0]) - (logits * targets).sum(axis=1)) + STRENGTH / 2 * (matrix**2).sum()
        error = (exponents / totals - targets) * weights[:, None]
        slope = error.T.astype(np.float32) @ features + STRENGTH * matrix
        return float(loss), np.hstack([slope, error.sum(axis=0)[:, None]]).ravel()

    return objective


def _of(scaled: Callable[[Floats], Floats], taught: Floats | None, width: int) -> Floats:
    return np.zeros((0, width), np.float32) if taught is None else scaled(taught)


def _units(features: Floats) -> Floats:
    units: Floats = features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)
    return units

"""Define the classes of rows: the classifier's own labels, or the categories of a config."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from pointsman.adapters.catalog import ServedModels
from pointsman.classify.calibration import Calibration
from pointsman.classify.described import DescribedHead
from pointsman.config.labels import cover
from pointsman.config.model import CategoryModel, Config
from pointsman.config.words import fold
from pointsman.evaluation.metrics import Bools, Floats, Ints
from pointsman.improve.texts_file import NO_CATEGORY
from pointsman.routing.decision import CategoryChoice, Reason
from pointsman.routing.planner import Planner
from pointsman.routing.policy import Policy

NONE = NO_CATEGORY
"""The class of prompts that go to `default_model` without a category."""
OTHER = "other"
DEFAULT_THRESHOLD = CategoryModel().threshold
"""For out-of-scope rows, if neither artifact nor config has one."""


class Scheme(Protocol):
    """A set of classes; `probabilities` have shape [n, labels], and `supported` tells of each row's language."""

    names: tuple[str, ...]
    """The classes; all have scores except NONE, which is last if present."""
    outside: tuple[str, ...]
    """The classes without a domain, which are correct for out-of-scope rows."""
    threshold: float
    """Minimum confidence."""
    min_confidences: tuple[float, ...]
    """The minimum of each scored class, which may be higher."""

    def truth(self, label: str) -> int | None:
        """Return the class of a file's label, ignoring case, `_` and `-`; None if there is none."""

    def known(self) -> list[str]:
        """Return all labels that a file may use."""

    def scores(self, probabilities: Floats) -> Floats:
        """Return scores of shape [n, scored classes]."""

    def chosen(self, probabilities: Floats, supported: Bools) -> Ints:
        """Return the chosen class of each row, shape [n]."""

    def caught(self, probabilities: Floats, chosen: Ints) -> Bools:
        """Return whether each row is kept out of all domains, as out-of-scope rows should be. Shape [n]."""


class LabelScheme:
    """The classifier's labels; the most probable one is chosen, in any language: no route depends on it."""

    def __init__(self, labels: Sequence[str], suggested: float | None) -> None:
        self.names = tuple(labels)
        self.threshold = DEFAULT_THRESHOLD if suggested is None else suggested
        self.min_confidences = (self.threshold,) * len(labels)
        self.outside = tuple(label for label in labels if fold(label) == OTHER)
        self._by_fold = {fold(label): position for position, label in enumerate(labels)}

    def truth(self, label: str) -> int | None:
        return self._by_fold.get(fold(label))

    def known(self) -> list[str]:
        return list(self.names)

    def scores(self, probabilities: Floats) -> Floats:
        return probabilities

    def chosen(self, probabilities: Floats, supported: Bools) -> Ints:
        likeliest: Ints = probabilities.argmax(axis=-1)
        return likeliest

    def caught(self, probabilities: Floats, chosen: Ints) -> Bools:
        """Return whether each row gets `other` or is below the threshold."""
        outside = np.isin(chosen, [self.names.index(name) for name in self.outside])
        unsure: Bools = probabilities.max(axis=-1) < self.threshold
        return outside | unsure


class CategoryScheme:
    """A config's categories, chosen as the service chooses for the first turn of a conversation."""

    def __init__(
        self,
        config: Config,
        labels: Sequence[str],
        calibration: Calibration | None = None,
        head: DescribedHead | None = None,
    ) -> None:
        """Take `calibration`, that of the artifact, and the `head` that read the texts, if there is one."""
        self._policy = Policy(config, labels, calibration=calibration, head=head)
        self._planner = Planner(config)
        self.threshold = config.classifier.category_model.threshold
        scored = tuple(category.name for category in config.categories)
        self.min_confidences = tuple(map(self._policy.threshold, scored))
        self.names = scored if self._policy.fallback is not None else (*scored, NONE)
        self._position = {name: position for position, name in enumerate(self.names)}
        coverage = cover(config, labels)
        owner = {label: name for name, covered in coverage.labels_of.items() for label in covered}
        self._known = {label: self._class_of(owner.get(label)) for label in labels} | self._position
        self._by_fold = {fold(label): position for label, position in self._known.items()}
        other = next((label for label in labels if fold(label) == OTHER), None)
        outside = {None, coverage.rest} | ({owner.get(other)} if other is not None else set())
        self.outside = tuple(self.names[position] for position in sorted({self._class_of(name) for name in outside}))

    def _class_of(self, category: str | None) -> int:
        """Return the position of a category, or of the fallback without one."""
        name = self._policy.fallback if category is None else category
        return self._position[NONE if name is None else name]

    def truth(self, label: str) -> int | None:
        """Return the class of a category, or of the category that covers a label of the classifier."""
        return self._by_fold.get(fold(label))

    def known(self) -> list[str]:
        return list(self._known)

    def scores(self, probabilities: Floats) -> Floats:
        return np.array([list(self._policy.scores(row).values()) for row in probabilities.tolist()])

    def chosen(self, probabilities: Floats, supported: Bools) -> Ints:
        chosen = self.classes([self._policy.choose(row).category for row in probabilities.tolist()])
        chosen[~supported] = self._class_of(None)
        return chosen

    def classes(self, categories: Iterable[str | None]) -> Ints:
        """Return the class of each category, which for none is the fallback's."""
        return np.array([self._class_of(category) for category in categories], dtype=np.int64)

    def caught(self, probabilities: Floats, chosen: Ints) -> Bools:
        """Return whether each row gets the fallback, or the category of `other` or of the remaining labels."""
        return np.isin(chosen, [self._position[name] for name in self.outside])

    def models(self) -> list[str]:
        """Return the model that answers each class if every endpoint serves all models."""
        choices = (CategoryChoice(None if name == NONE else name, None, Reason.CLASSIFIED) for name in self.names)
        return [self._planner.decide(choice, 0.0, ServedModels()).model for choice in choices]

"""What a row can be and what is chosen for it: the classifier's own labels, or the categories of a config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from pointsman.adapters.catalog import Served
from pointsman.config.labels import cover
from pointsman.config.model import Config
from pointsman.config.words import fold
from pointsman.evaluation.metrics import Bools, Floats, Ints
from pointsman.routing.policy import Choice, Policy, Reason

NONE = "(none)"
"""The class of what goes to `default_model` without a category."""
OTHER = "other"
DEFAULT_THRESHOLD = 0.6
"""Of out-of-scope rows where neither artifact nor config has one: the config's own default."""


class Scheme(Protocol):
    """`probabilities` have shape [n, labels]."""

    names: tuple[str, ...]
    """The classes. The first of them are scored; NONE, where it is one, is the last and is not."""
    outside: tuple[str, ...]
    """The classes that are no domain, which are right for what is out of scope."""
    threshold: float
    """Less than this is unsure."""

    def truth(self, label: str) -> int | None:
        """The class that a file's label means; None where it means none. Case, `_` and `-` do not matter."""

    def known(self) -> list[str]:
        """All labels that a file may have."""

    def scores(self, probabilities: Floats) -> Floats:
        """Shape [n, scored classes]."""

    def chosen(self, probabilities: Floats) -> Ints:
        """The class that each row is given, shape [n]."""

    def caught(self, probabilities: Floats) -> Bools:
        """Whether a row is kept out of every domain, which is right for one that is out of scope. Shape [n]."""


class Labels:
    """The classifier's labels; the likeliest is chosen."""

    def __init__(self, labels: Sequence[str], suggested: float | None) -> None:
        self.names = tuple(labels)
        self.threshold = DEFAULT_THRESHOLD if suggested is None else suggested
        self.outside = tuple(label for label in labels if fold(label) == OTHER)
        self._by_fold = {fold(label): position for position, label in enumerate(labels)}

    def truth(self, label: str) -> int | None:
        return self._by_fold.get(fold(label))

    def known(self) -> list[str]:
        return list(self.names)

    def scores(self, probabilities: Floats) -> Floats:
        return probabilities

    def chosen(self, probabilities: Floats) -> Ints:
        likeliest: Ints = probabilities.argmax(axis=-1)
        return likeliest

    def caught(self, probabilities: Floats) -> Bools:
        """`other`, or unsure."""
        outside = np.isin(self.chosen(probabilities), [self.names.index(name) for name in self.outside])
        unsure: Bools = probabilities.max(axis=-1) < self.threshold
        return outside | unsure


class Categories:
    """A config's categories, chosen as the service chooses for a conversation's first turn."""

    def __init__(self, config: Config, labels: Sequence[str]) -> None:
        self._policy = Policy(config, labels)
        self.threshold = config.classifier.category_model.threshold
        scored = tuple(category.name for category in config.categories)
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
        """The position of a category; without one, of what answers when none was found."""
        name = self._policy.fallback if category is None else category
        return self._position[NONE if name is None else name]

    def truth(self, label: str) -> int | None:
        """A category, or a label of the classifier, which means the category that covers it."""
        return self._by_fold.get(fold(label))

    def known(self) -> list[str]:
        return list(self._known)

    def scores(self, probabilities: Floats) -> Floats:
        return np.array([list(self._policy.scores(row).values()) for row in probabilities.tolist()])

    def chosen(self, probabilities: Floats) -> Ints:
        choices = (self._policy.choose(row, None).category for row in probabilities.tolist())
        return np.array([self._class_of(category) for category in choices], dtype=np.int64)

    def caught(self, probabilities: Floats) -> Bools:
        """The fallback, or a category that covers `other` or the rest."""
        return np.isin(self.chosen(probabilities), [self._position[name] for name in self.outside])

    def models(self) -> list[str]:
        """The model that answers each class while every endpoint serves everything."""
        choices = (Choice(None if name == NONE else name, None, Reason.CLASSIFIED) for name in self.names)
        return [self._policy.decide(choice, 0.0, Served()).model for choice in choices]

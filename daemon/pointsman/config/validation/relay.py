"""Check the paths that are added and removed."""

from __future__ import annotations

from collections.abc import Iterator

from pointsman.config import paths
from pointsman.config.validation.subject import Subject
from pointsman.config.words import Keys
from pointsman.errors import Problem


def problems(subject: Subject) -> Iterator[Problem]:
    """Yield what is wrong with `relay.paths`."""
    options = subject.config.pointsman.relay.paths
    for key, texts, parse in (("add", options.add, paths.added), ("remove", options.remove, paths.removed)):
        for i, text in enumerate(texts):
            try:
                parse(text)
            except ValueError as error:
                keys: Keys = ("pointsman", "relay", "paths", key, i)
                yield subject.problem(*keys, message=f'expected a path, found "{text}"', fix=str(error))

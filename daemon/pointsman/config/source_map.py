"""Map each value of the loaded config to its position in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pointsman.config.words import Keys, show
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True)
class Place:
    """A value's line and its key path in the file, which for `decisions` differs from the config's."""

    keys: Keys
    line: int | None


@dataclass(frozen=True, slots=True)
class Places:
    given: Mapping[Keys, Place] = field(default_factory=dict)
    broken: frozenset[Keys] = frozenset()
    """Keys whose value is a placeholder, because the file's was invalid."""

    def at(self, *keys: str | int) -> Place:
        """Return the position of a value; for a missing value, the line of the mapping that should contain it."""
        for length in range(len(keys), 0, -1):
            place = self.given.get(keys[:length])
            if place is not None:
                return Place((*place.keys, *keys[length:]), place.line)
        return Place(keys, None)

    def known(self, *keys: str | int) -> bool:
        """Return whether the value is the file's own, so that it can be checked."""
        return not any(keys[:length] in self.broken for length in range(1, len(keys) + 1))

    def problem(self, keys: Keys, message: str, fix: str) -> Problem:
        """Return a problem at the position of a value."""
        place = self.at(*keys)
        return Problem(path=show(place.keys), line=place.line, message=message, fix=fix)

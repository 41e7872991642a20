"""Where each value of the loaded config stands in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pointsman.config.words import Keys, show
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True)
class Place:
    """A key path as the file spells it, which for `decisions` is not the config's, and its line."""

    keys: Keys
    line: int | None


@dataclass(frozen=True, slots=True)
class Places:
    given: Mapping[Keys, Place] = field(default_factory=dict)
    broken: frozenset[Keys] = frozenset()
    """Where the value is a stand-in, because the file's was wrong."""

    def at(self, *keys: str | int) -> Place:
        """The place of a value; for one that the file does not give, the line of what should hold it."""
        for length in range(len(keys), 0, -1):
            place = self.given.get(keys[:length])
            if place is not None:
                return Place((*place.keys, *keys[length:]), place.line)
        return Place(keys, None)

    def known(self, *keys: str | int) -> bool:
        """Whether the value is what the file says, so that it makes sense to judge it."""
        return not any(keys[:length] in self.broken for length in range(1, len(keys) + 1))

    def problem(self, keys: Keys, message: str, fix: str) -> Problem:
        """A problem at the place of a value."""
        place = self.at(*keys)
        return Problem(path=show(place.keys), line=place.line, message=message, fix=fix)

"""Map each value of the loaded config to its position in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pointsman.config.words import Keys, show
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """A value's line and its key path in the file, which for `decisions` differs from the config's."""

    keys: Keys
    line: int | None


@dataclass(frozen=True, slots=True)
class SourceMap:
    given: Mapping[Keys, SourceLocation] = field(default_factory=dict)
    broken: frozenset[Keys] = frozenset()
    """Keys whose value is a placeholder, because the file's was invalid."""

    def at(self, *keys: str | int) -> SourceLocation:
        """Return the position of a value; for a missing value, the line of the mapping that should contain it."""
        for length in range(len(keys), 0, -1):
            location = self.given.get(keys[:length])
            if location is not None:
                return SourceLocation((*location.keys, *keys[length:]), location.line)
        return SourceLocation(keys, None)

    def known(self, *keys: str | int) -> bool:
        """Return whether the value is the file's own, so that it can be checked."""
        return not any(keys[:length] in self.broken for length in range(1, len(keys) + 1))

    def problem(self, keys: Keys, message: str, fix: str) -> Problem:
        """Return a problem at the position of a value."""
        location = self.at(*keys)
        return Problem(path=show(location.keys), line=location.line, message=message, fix=fix)

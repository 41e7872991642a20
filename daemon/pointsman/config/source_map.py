"""Map each value of the loaded config to its position in the file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from pointsman.config.words import Keys, show
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """A value's line and its key path in the file, which for `decisions` differs from the config's."""

    keys: Keys
    line: int | None


@dataclass(frozen=True, slots=True)
class SourceMap:
    """The positions of all values; methods take key paths below `section`."""

    given: Mapping[Keys, SourceLocation] = field(default_factory=dict)
    broken: frozenset[Keys] = frozenset()
    """Keys whose value is a placeholder, because the file's was invalid."""
    section: Keys = ()

    def below(self, *keys: str | int) -> SourceMap:
        """Return the positions in a section."""
        return replace(self, section=(*self.section, *keys))

    def at(self, *keys: str | int) -> SourceLocation:
        """Return the position of a value; for a missing value, the line of the mapping that should contain it."""
        path = (*self.section, *keys)
        for length in range(len(path), 0, -1):
            location = self.given.get(path[:length])
            if location is not None:
                return SourceLocation((*location.keys, *path[length:]), location.line)
        return SourceLocation(path, None)

    def has(self, *keys: str | int) -> bool:
        """Return whether the file has the value."""
        return (*self.section, *keys) in self.given

    def known(self, *keys: str | int) -> bool:
        """Return whether the value is the file's own, so that it can be checked."""
        path = (*self.section, *keys)
        return not any(path[:length] in self.broken for length in range(1, len(path) + 1))

    def problem(self, keys: Keys, message: str, fix: str) -> Problem:
        """Return a problem at the position of a value."""
        location = self.at(*keys)
        return Problem(path=show(location.keys), line=location.line, message=message, fix=fix)

    def names(self, named: Iterable[tuple[Keys, str]], key: Callable[[str], str] = str) -> Iterator[Problem]:
        """Yield names that are empty or used twice; `key` gives names that count as one the same key."""
        first: dict[str, int | None] = {}
        for keys, name in named:
            if not self.known(*keys):
                continue
            line = self.at(*keys).line
            if not name.strip():
                yield self.problem(keys, "the name is empty", "write a name")
            elif key(name) in first:
                message = f'the name "{name}" is already used on line {first[key(name)]}'
                yield self.problem(keys, message, "rename one of the two")
            first.setdefault(key(name), line)

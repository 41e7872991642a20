"""The subject of the checks of all sections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from pointsman.config.model import Config
from pointsman.config.source_map import SourceMap
from pointsman.config.words import Keys
from pointsman.errors import Problem


@dataclass(frozen=True, slots=True)
class ValidatedConfig:
    """A config to validate, and the positions of its values; placeholders are not checked."""

    config: Config
    source_map: SourceMap

    def problem(self, *keys: str | int, message: str, fix: str) -> Problem:
        return self.source_map.problem(keys, message, fix)

    def adapters(self) -> dict[str, str]:
        """Return the base model of each adapter; the first one if two claim it."""
        found: dict[str, str] = {}
        for base, model in self.config.model_config.items():
            for lora in model.loras:
                found.setdefault(lora.name, base)
        return found

    def served(self) -> list[str]:
        """Return every model name that vLLM may be asked for."""
        return [*self.config.model_config, *self.adapters()]

    def names(self, named: Iterable[tuple[Keys, str]], key: Callable[[str], str] = str) -> Iterator[Problem]:
        """Yield names that are empty or used twice; `key` gives names that count as one the same key."""
        first: dict[str, int | None] = {}
        for keys, name in named:
            if not self.source_map.known(*keys):
                continue
            line = self.source_map.at(*keys).line
            if not name.strip():
                yield self.problem(*keys, message="the name is empty", fix="write a name")
            elif key(name) in first:
                message = f'the name "{name}" is already used on line {first[key(name)]}'
                yield self.problem(*keys, message=message, fix="rename one of the two")
            first.setdefault(key(name), line)

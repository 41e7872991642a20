"""Choose the edits to try: as many of each package, spread over its lines. Pure."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath

from mutants.operators import Edit, edits

MAX_NAME_CHARACTERS = 90


@dataclass(frozen=True, slots=True)
class Mutant:
    """`name` stays the same while the text around does; it is the key in the results and among the reasons."""

    name: str
    file: str
    edit: Edit

    def diff(self, source: bytes) -> str:
        """The lines that it changes."""
        before, after = (text.decode().splitlines() for text in (source, self.edit.apply(source)))
        return "\n".join(
            line
            for line in difflib.unified_diff(before, after, n=0, lineterm="")
            if line[0] in "-+" and line[:3] not in ("---", "+++")
        )


def choose(sources: Mapping[str, bytes], count: int, seed: str) -> list[Mutant]:
    """`count` mutants of each package, or all where it has fewer; another seed gives others."""
    packages: dict[str, list[Mutant]] = defaultdict(list)
    for file, source in sorted(sources.items()):
        packages[package_of(file)] += mutants(file, source)
    return [mutant for found in packages.values() for mutant in _spread(found, seed)[:count]]


def package_of(file: str) -> str:
    return str(PurePath(file).parent)


def mutants(file: str, source: bytes) -> list[Mutant]:
    """All of a module."""
    seen: Counter[str] = Counter()
    found = []
    for edit in edits(source):
        name = f"{file} {edit.scope}: {_short(edit.old)} -> {_short(edit.new)}"
        seen[name] += 1
        found.append(Mutant(name if seen[name] == 1 else f"{name} #{seen[name]}", file, edit))
    return found


def _spread(found: list[Mutant], seed: str) -> list[Mutant]:
    """In the seed's order, but the first of each line before the second of any."""
    drawn = sorted(found, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())
    lines: Counter[tuple[str, int]] = Counter()
    turns = {}
    for mutant in drawn:
        line = (mutant.file, mutant.edit.line)
        lines[line] += 1
        turns[mutant.name] = lines[line]
    return sorted(drawn, key=lambda mutant: turns[mutant.name])


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= MAX_NAME_CHARACTERS else f"{words[: MAX_NAME_CHARACTERS - 3]}..."

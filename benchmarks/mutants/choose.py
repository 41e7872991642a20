"""Choose the edits to try: as many of each module as its share of the lines, spread over them. Pure."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

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


def choose(sources: Mapping[str, bytes], count: int, seed: int) -> list[Mutant]:
    """About `count` mutants; a module that does not change keeps its own while its share stays the same."""
    lines = {file: sum(bool(line.strip()) for line in source.splitlines()) for file, source in sources.items()}
    total = sum(lines.values())
    return [
        mutant
        for file, source in sorted(sources.items())
        for mutant in _spread(mutants(file, source), seed)[: round(count * lines[file] / total)]
    ]


def mutants(file: str, source: bytes) -> list[Mutant]:
    """All of a module."""
    seen: Counter[str] = Counter()
    found = []
    for edit in edits(source):
        name = f"{file} {edit.scope}: {_short(edit.old)} -> {_short(edit.new)}"
        seen[name] += 1
        found.append(Mutant(name if seen[name] == 1 else f"{name} #{seen[name]}", file, edit))
    return found


def _spread(found: list[Mutant], seed: int) -> list[Mutant]:
    """In the seed's order, but the first of each line before the second of any."""
    drawn = sorted(found, key=lambda mutant: hashlib.sha256(f"{seed} {mutant.name}".encode()).digest())
    lines: Counter[int] = Counter()
    turns = {}
    for mutant in drawn:
        lines[mutant.edit.line] += 1
        turns[mutant.name] = lines[mutant.edit.line]
    return sorted(drawn, key=lambda mutant: turns[mutant.name])


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= MAX_NAME_CHARACTERS else f"{words[: MAX_NAME_CHARACTERS - 3]}..."

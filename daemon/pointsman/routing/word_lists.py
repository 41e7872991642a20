"""Read the lists of words and phrases in a text file, each under its `[title]`; a line with `#` is a comment."""

from __future__ import annotations

from pathlib import Path


class WordLists:
    """The lists of a file."""

    def __init__(self, file: Path) -> None:
        self._lists: dict[str, list[str]] = {}
        for line in file.read_text("utf-8").splitlines():
            if line.startswith("["):
                lines = self._lists[line.strip("[]")] = []
            elif line and not line.startswith("#"):
                lines.append(line)

    def titles(self, kind: str) -> list[str]:
        """Return the titles that begin with this word."""
        return [title for title in self._lists if title.startswith(f"{kind} ")]

    def lines(self, title: str) -> tuple[str, ...]:
        """Return the lines of a list."""
        return tuple(self._lists[title])

    def words(self, title: str) -> frozenset[str]:
        """Return the words of a list, which white space separates."""
        return frozenset(" ".join(self._lists[title]).split())

    def phrases(self, title: str) -> tuple[str, ...]:
        """Return the phrases of a list, which commas separate; `_` is a space at the end of one."""
        return tuple([phrase.replace("_", " ") for phrase in " ".join(self._lists[title]).split(", ")])

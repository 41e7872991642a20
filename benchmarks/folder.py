"""Define the folder in which a benchmark works."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder that stays for later runs."""

    folder: Path

    def part(self, name: str) -> Path:
        """Return a folder within it for one kind of files, which is made if it is not there."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

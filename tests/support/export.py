"""The output of one run of `pointsman export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """Exit code, terminal, and the folder that was asked for."""

    code: int
    out: str
    err: str
    folder: Path

    @property
    def steps(self) -> list[str]:
        """The progress lines on stderr."""
        return [line for line in self.err.splitlines() if line.endswith(" …")]

    @property
    def message(self) -> str:
        """All else on stderr."""
        return "\n".join(line for line in self.err.splitlines() if not line.endswith(" …"))

    @property
    def left(self) -> list[str]:
        """All names in the folder's parent, hidden ones too."""
        return sorted(path.name for path in self.folder.parent.iterdir())


Export = Callable[..., Outcome]
Source = Callable[[str], Path]
"""The folder for an architecture's class in transformers."""

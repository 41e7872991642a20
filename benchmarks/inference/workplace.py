"""Manage the folder of models, results and logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Workplace:
    """A folder with models, peers' venvs, results and logs."""

    folder: Path

    def model(self, name: str) -> Path:
        return self.folder / "models" / name

    def python(self, peer: str) -> Path:
        return self.folder / "peers" / peer / "bin" / "python"

    def part(self, name: str) -> Path:
        """Return a folder for files that only this run needs."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def tokenizer(self) -> Path:
        return self.model("checkpoint") / "tokenizer.json"

"""The folder in which everything is made and measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Workplace:
    """Models, peers' venvs, results and logs, in one folder."""

    folder: Path

    def model(self, name: str) -> Path:
        return self.folder / "models" / name

    def python(self, peer: str) -> Path:
        return self.folder / "peers" / peer / "bin" / "python"

    def part(self, name: str) -> Path:
        """A folder for what is of use only to this run."""
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    @property
    def tokenizer(self) -> Path:
        return self.model("checkpoint") / "tokenizer.json"

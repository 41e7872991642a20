"""Manage the folder of models, results and logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from folder import Folder

HERE = Path(__file__).parent
MAX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class Workplace(Folder):
    """A folder with models, peers' venvs, results and logs."""

    def model(self, name: str) -> Path:
        return self.folder / "models" / name

    def python(self, peer: str) -> Path:
        return self.folder / "peers" / peer / "bin" / "python"

    @property
    def tokenizer(self) -> Path:
        return self.model("checkpoint") / "tokenizer.json"

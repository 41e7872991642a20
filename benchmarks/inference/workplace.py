"""Manage the folder of models, results and logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from folder import Folder

from pointsman.classify import cpu

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
NO_VNNI = RESULTS / "no-vnni"
"""For results of CPUs that compute int8 in another way, so that the others are not replaced by them."""
MAX_TOKENS = 512


def results() -> Path:
    """Return the folder for results of this CPU."""
    return RESULTS if cpu.has_vnni() else NO_VNNI


@dataclass(frozen=True, slots=True)
class InferenceFolder(Folder):
    """A folder with models, peers' venvs, results and logs."""

    def model(self, name: str) -> Path:
        return self.folder / "models" / name

    def python(self, peer: str) -> Path:
        return self.folder / "peers" / peer / "bin" / "python"

    @property
    def tokenizer(self) -> Path:
        return self.model("checkpoint") / "tokenizer.json"

"""Assign folders and cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from folder import Folder

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class RelayFolder(Folder):
    """A folder with peers (`peers/install.sh FOLDER/peers`), logs and configs, and the numbers of the cores.

    `before` is the Python of another installation of Pointsman, to compare with.
    """

    load_core: int
    proxy_core: int
    before: Path | None = None

    @classmethod
    def here(cls, folder: Path, before: Path | None = None) -> RelayFolder:
        """Return a workplace on this host; raises RuntimeError if the process may not use two cores."""
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise RuntimeError("two cores are needed: one for the proxy, one for the load and what answers it")
        return cls(folder.resolve(), cores[0], cores[-1], before)

    def peer(self, name: str, program: str) -> Path:
        return self.folder / "peers" / name / program

    def pinned(self, core: int, command: Sequence[str]) -> list[str]:
        return ["taskset", "-c", str(core), *command]

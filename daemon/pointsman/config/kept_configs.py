"""Keep the last configs that a service has applied, as files in the state directory."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from pointsman import files
from pointsman.config.load import LARGEST_CONFIG_BYTES
from pointsman.errors import CannotStart

FOLDER = "configs"
# The file's own, and three to go back to.
MOST_KEPT = 4
_NAME = re.compile(r"([0-9]{1,12})-([0-9a-f]{64})\.yaml")


@dataclass(frozen=True, slots=True)
class KeptConfig:
    """A config of the operator's file: when it was first applied, in seconds since the epoch, and its digest."""

    at: int
    sha256: str
    path: Path

    def content(self) -> bytes:
        """Return the file's content as it was applied; raises CannotStart."""
        try:
            found = files.read(self.path, LARGEST_CONFIG_BYTES)
        except OSError as error:
            raise CannotStart(f"the kept config {self.path} cannot be read ({error.strerror}); {_FIX}") from error
        if digest(found) != self.sha256:
            raise CannotStart(f"the kept config {self.path} has been changed, it is not what was applied; {_FIX}")
        return found


_FIX = "go back to another of `pointsman config list`, or `pointsman config follow` the file"


def digest(content: bytes) -> str:
    """Return the hex digest that identifies a config file's content."""
    return hashlib.sha256(content).hexdigest()


def kept(state: Path) -> list[KeptConfig]:
    """Return the kept configs of a state directory, the newest first; raises OSError."""
    try:
        paths = list((state / FOLDER).iterdir())
    except FileNotFoundError:
        return []
    matches = [(match, path) for path in paths if (match := _NAME.fullmatch(path.name))]
    found = [KeptConfig(int(match[1]), match[2], path) for match, path in matches]
    return sorted(found, key=lambda one: (one.at, one.sha256), reverse=True)


def keep(state: Path, content: bytes, now: float) -> None:
    """Keep a config as the newest, unless it is that already, and forget the oldest; raises OSError."""
    sha256, before = digest(content), kept(state)
    if before and before[0].sha256 == sha256:
        return
    at = max(int(now), before[0].at + 1) if before else int(now)  # they are in order, whatever a clock says
    folder = state / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    files.write(folder / f"{at}-{sha256}.yaml", content, replace=True, mode=0o600)
    others = [one for one in before if one.sha256 != sha256]
    for one in [*others[MOST_KEPT - 1 :], *(one for one in before if one.sha256 == sha256)]:
        one.path.unlink(missing_ok=True)

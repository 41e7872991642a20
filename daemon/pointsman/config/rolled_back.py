"""Go on serving the config that `pointsman config rollback` of a former release has put in place of the file's."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import msgspec

from pointsman import files
from pointsman.config.load import MAX_CONFIG_BYTES
from pointsman.errors import CannotStart, Problem


class RolledBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kept config that is served as long as the content of the operator's file has the SHA-256 digest `over`.

    `at` is when it was first applied, in seconds since the epoch.
    """

    sha256: str
    at: int
    over: str

    def holds(self, content: bytes) -> bool:
        """Return whether the operator's file, of this content, has not changed since."""
        return _digest(content) == self.over

    def read(self, state: Path) -> tuple[bytes, Path]:
        """Return the kept config and its file; raises CannotStart."""
        file = self._file(state)
        try:
            found = files.read(file, MAX_CONFIG_BYTES)
        except OSError as error:
            raise CannotStart(f"{file} cannot be read ({error.strerror})") from error
        if _digest(found) != self.sha256:
            raise CannotStart(f"{file} has been changed since it was kept")
        return found, file

    def problem(self, state: Path, path: Path) -> Problem:
        """Return what this means for the operator's file at `path`."""
        file = self._file(state)
        command = shlex.join(["cp", str(file), str(path)])
        return Problem(
            path="",
            line=None,
            message=f"this file is not served, but {file}, by `pointsman config rollback` of a former release",
            fix=f"`{command}` makes that one the config; to have this one served, change it, if only a comment",
        )

    def _file(self, state: Path) -> Path:
        return state / "configs" / f"{self.at}-{self.sha256}.yaml"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()

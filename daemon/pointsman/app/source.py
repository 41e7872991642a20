"""Read the config file, and notice when it or a file that it names has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pointsman.app.prepare import PreparedConfig, prepare
from pointsman.config import overlay
from pointsman.config.load import content
from pointsman.config.overlay import Promotion
from pointsman.config.rolled_back import RolledBack
from pointsman.errors import CannotStart
from pointsman.observability.log_line import Level

Stamp = tuple[int, int, int, int]
"""Device, inode, size, and modification time in nanoseconds."""
Stamps = dict[Path, Stamp | None]
"""The stamp of each file, None for a missing file."""


class ConfigSource:
    """The config file with its file of keys, and the settings that never change after the start, as for `prepare`."""

    def __init__(
        self,
        path: Path,
        vllm: str | None = None,
        log_level: Level | None = None,
        hash_key: bytes = b"",
        state: Path | None = None,
    ) -> None:
        """`state` is the state directory, with what an earlier process was told to serve, and kept examples."""
        self.path = path
        self.state = state
        found = overlay.read(state)[0]
        self.rolled_back = found.config
        """The config that is served in place of the file, until the file has changed."""
        self.promoted = found.classifier
        self._changed = False
        """True if the file has changed since the rollback, by what was read last."""
        self._vllm = vllm
        self._log_level = log_level
        self._hash_key = hash_key
        self._seen: Stamps = {}

    def prepare(self, previous: PreparedConfig | None = None) -> PreparedConfig:
        """Read the config; raises CannotStart.

        At the start, the file's config is served where the one that a former release has gone back to cannot be, and
        the classifier that the config names where the promoted one cannot.
        """
        try:
            return self._with_promoted(previous, self.promoted)
        except CannotStart as error:
            if previous is not None or self.promoted is None:
                raise
            found = self._with_promoted(None, None)
            warning = f"{self.promoted.path} was promoted, but the classifier that the config names serves: {error}"
            return replace(found, warnings=(warning, *found.warnings))

    def _with_promoted(self, previous: PreparedConfig | None, promoted: Promotion | None) -> PreparedConfig:
        seen: Stamps = {}
        self._seen = seen
        seen[self.path] = _stamp(self.path)
        file, rolled_back = content(self.path), self.rolled_back
        self._changed = rolled_back is not None and not rolled_back.holds(file)
        if rolled_back is None or self.state is None or self._changed:
            return self._prepared(previous, seen, (file, self.path), promoted)
        try:
            found = self._prepared(previous, seen, rolled_back.read(self.state), promoted)
            warning = rolled_back.problem(self.state, self.path).render(str(self.path))
            return replace(found, rolled_back=rolled_back, warnings=(warning, *found.warnings))
        except CannotStart as error:
            if previous is not None and previous.rolled_back is not None:
                raise
            found = self._prepared(previous, seen, (file, self.path), promoted)
            warning = f"{self.path} is served, though a former release has gone back to another config: {error}"
            return replace(found, warnings=(warning, *found.warnings))

    def applied(self) -> RolledBack | None:
        """Return the rollback that stays in effect, now that what was read last is served."""
        if self._changed:
            self.rolled_back = None
        return self.rolled_back

    def _prepared(
        self, previous: PreparedConfig | None, seen: Stamps, text: tuple[bytes, Path], promoted: Promotion | None
    ) -> PreparedConfig:
        return prepare(
            self.path,
            previous,
            vllm=self._vllm,
            log_level=self._log_level,
            hash_key=self._hash_key,
            reads=lambda path: seen.setdefault(path, _stamp(path)),
            text=text,
            promoted=promoted,
            state=self.state,
        )

    def news(self) -> Stamps | None:
        """Return the stamps of the files that were read if one has changed since; None without a config."""
        seen = self._seen.copy()
        stamps = {path: _stamp(path) for path in seen}
        return None if stamps == seen or stamps.get(self.path) is None else stamps


def _stamp(path: Path) -> Stamp | None:
    """Return a file's current stamp; None while it is missing.

    Symbolic links are followed, so that replacing one counts as a change, as in a Kubernetes config map.
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # a NUL character
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

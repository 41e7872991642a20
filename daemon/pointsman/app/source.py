"""Read the config file, or the stored config that a rollback serves instead, and notice when a file has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pointsman.app.prepare import Prepared, prepare
from pointsman.config import overlay
from pointsman.config.kept_configs import digest, kept
from pointsman.config.load import content
from pointsman.config.overlay import Pin, Promoted
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
        """Take `state`, the state directory with stored configs and an earlier process's rollback."""
        self.path = path
        self.state = state
        found = overlay.read(state)[0]
        self.pin = found.config
        self.promoted = found.classifier
        self._vllm = vllm
        self._log_level = log_level
        self._hash_key = hash_key
        self._seen: Stamps = {}

    def prepare(self, previous: Prepared | None = None) -> Prepared:
        """Read the config; raises CannotStart.

        At the start, the file's config replaces a rolled-back one that cannot be served, and the config's classifier a
        promoted one that cannot.
        """
        try:
            return self._with_promoted(previous, self.promoted)
        except CannotStart as error:
            if previous is not None or self.promoted is None:
                raise
            found = self._with_promoted(None, None)
            warning = f"{self.promoted.path} was promoted, but the classifier that the config names serves: {error}"
            return replace(found, warnings=(warning, *found.warnings))

    def _with_promoted(self, previous: Prepared | None, promoted: Promoted | None) -> Prepared:
        seen: Stamps = {}
        self._seen = seen
        seen[self.path] = _stamp(self.path)
        held, pin = content(self.path), self.pin
        if pin is None or pin.over != digest(held):
            return self._prepared(previous, seen, (held, self.path), promoted)
        try:
            found = self._prepared(previous, seen, self._kept(pin), promoted)
            return replace(found, pin=pin, warnings=(pin.told(self.path), *found.warnings))
        except CannotStart as error:
            if previous is not None:
                raise
            found = self._prepared(previous, seen, (held, self.path), promoted)
            warning = f"{self.path} is served, though `pointsman config rollback` has gone back to another: {error}"
            return replace(found, warnings=(warning, *found.warnings))

    def _kept(self, pin: Pin) -> tuple[bytes, Path]:
        """Return the content and the file of a stored config; raises CannotStart."""
        if self.state is not None:
            try:
                for one in kept(self.state):
                    if one.sha256 == pin.sha256:
                        return one.content(), one.path
            except OSError as error:
                raise CannotStart(f"{self.state}: the kept configs cannot be read ({error.strerror})") from error
        raise CannotStart(
            f"the config {pin.sha256[:12]} is kept no more; go back to one of `pointsman config list`, or "
            "`pointsman config follow` the file"
        )

    def _prepared(
        self, previous: Prepared | None, seen: Stamps, text: tuple[bytes, Path], promoted: Promoted | None
    ) -> Prepared:
        return prepare(
            self.path,
            previous,
            vllm=self._vllm,
            log_level=self._log_level,
            hash_key=self._hash_key,
            reads=lambda path: seen.setdefault(path, _stamp(path)),
            text=text,
            promoted=promoted,
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
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

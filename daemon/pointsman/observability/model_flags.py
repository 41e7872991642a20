"""Remember problems, each from its beginning until everything has been fine for a while; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

# A flag that ended at the first good moment would come and go.
FINE_SECONDS = 60.0


class Finding(NamedTuple):
    """The finding about one model or endpoint, by its newest requests: `why` in words if it is bad.

    Between `bad` and `fine`, the former state continues. `models` are the bad ones of an endpoint.
    """

    bad: bool
    fine: bool
    why: str
    models: tuple[str, ...] = ()


class Flag(NamedTuple):
    """A problem: since when, why, and since when it seems to be over."""

    since: float
    why: str
    models: tuple[str, ...]
    fine_since: float | None


class Flags:
    """The problems by name; `began` and `ended` are called when one begins or ends."""

    def __init__(self, began: Callable[[str, Flag], object], ended: Callable[[str, Flag], object]) -> None:
        self._began, self._ended = began, ended
        self.all: dict[str, Flag] = {}

    def update(self, found: Mapping[str, Finding], now: float) -> None:
        """Take the present findings; nothing is known any more of names without one."""
        for name, finding in found.items():
            flag = self.all.get(name)
            if finding.bad:
                since = now if flag is None else flag.since
                new = self.all[name] = Flag(since, finding.why, finding.models, None)
                if flag is None:
                    self._began(name, new)
            elif flag is not None:
                self._still(name, flag, finding, now)
        for name in [name for name in self.all if name not in found]:
            self._ended(name, self.all.pop(name))

    def _still(self, name: str, flag: Flag, finding: Finding, now: float) -> None:
        if not finding.fine:
            self.all[name] = flag._replace(fine_since=None)
        elif flag.fine_since is None:
            self.all[name] = flag._replace(fine_since=now)
        elif now - flag.fine_since >= FINE_SECONDS:
            self._ended(name, self.all.pop(name))

"""A circuit breaker for one endpoint."""

from __future__ import annotations


class Breaker:
    """Open after `failures` in a row; then let one request through each `open_seconds` until one succeeds."""

    __slots__ = ("_failed", "_until", "failures", "open_seconds", "opened")

    def __init__(self, failures: int, open_seconds: float) -> None:
        """With `failures` of 0 the breaker never opens."""
        self.failures = failures
        self.open_seconds = open_seconds
        self._failed = 0
        self._until = 0.0
        self.opened = False

    def passes(self, now: float) -> bool:
        """Return whether a request may be sent; `now` is in seconds of any steady clock."""
        return not self.opened or now >= self._until

    def sent(self, now: float) -> None:
        """Note that a request was sent; while open, no other passes until its outcome or the next try is due."""
        if self.opened:
            self._until = now + self.open_seconds

    def succeeded(self) -> None:
        """Close: an answer came."""
        self._failed = 0
        self.opened = False

    def failed(self, now: float) -> None:
        """Count a failure of the endpoint."""
        self._failed += 1
        if self.failures and self._failed >= self.failures:
            self.opened = True
            self._until = now + self.open_seconds

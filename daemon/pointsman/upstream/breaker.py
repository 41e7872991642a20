"""A circuit breaker for one endpoint."""

from __future__ import annotations


class CircuitBreaker:
    """A circuit breaker: after `failures` in a row, it lets one request through each `open_seconds`.

    One success closes it. A single client's failures may be caused by its requests: they open it only when `confirmed`.
    """

    __slots__ = ("_client", "_failed", "_proven", "_until", "failures", "open_seconds", "opened")

    def __init__(self, failures: int, open_seconds: float) -> None:
        """Take the options; with `failures` of 0 the breaker never opens."""
        self.failures = failures
        self.open_seconds = open_seconds
        self._failed = 0
        self._client: str | None = None
        self._proven = False
        self._until = 0.0
        self.opened = False

    @property
    def in_doubt(self) -> bool:
        """True if a single client has seen enough failures in a row to open the breaker."""
        return 0 < self.failures <= self._failed and not self._proven

    def passes(self, now: float) -> bool:
        """Return whether a request may be sent; `now` is in seconds of any steady clock."""
        return not self.opened or now >= self._until

    def sent(self, now: float) -> None:
        """Record a request; while open, no other passes until its outcome or the next try is due."""
        if self.opened:
            self._until = now + self.open_seconds

    def succeeded(self) -> None:
        """Close the breaker: an answer came."""
        self._failed = 0
        self._client = None
        self._proven = self.opened = False

    def failed(self, now: float, client: str | None = None) -> None:
        """Count a failure that `client` has seen, or None if no request can have caused the failure."""
        self._failed += 1
        if client is None or self._client not in {None, client}:
            self._proven = True
        self._client = client
        self._judge(now)

    def confirmed(self, now: float) -> None:
        """Record that a probe fails as well."""
        if self.in_doubt:
            self._proven = True
            self._judge(now)

    def _judge(self, now: float) -> None:
        if self._proven and 0 < self.failures <= self._failed:
            self.opened = True
            self._until = now + self.open_seconds

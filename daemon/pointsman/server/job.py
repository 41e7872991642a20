"""Who answers a request, as its connection sees them."""

from __future__ import annotations

from typing import Protocol


class Flow(Protocol):
    """A source of bytes for a client that can be paused."""

    def pause(self) -> None:
        """Stop writing: the client reads more slowly than it is written to."""

    def resume(self) -> None:
        """Write on: the client has caught up."""

    def stalled(self) -> None:
        """Take note that the client has not read for so long that its connection is closed."""


class Cancellable(Protocol):
    """A task that answers a request and can be cancelled."""

    def cancel(self) -> object:
        """End: the client left, or the service stops. In the second case the job may still answer."""

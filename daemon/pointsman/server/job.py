"""The job that answers a request, as its connection sees it."""

from __future__ import annotations

from typing import Protocol


class PausableSource(Protocol):
    """A source of bytes for a client that can be paused."""

    def pause(self) -> None:
        """Stop writing: the client reads too slowly."""

    def resume(self) -> None:
        """Resume writing: the client has caught up."""

    def stalled(self) -> None:
        """Take note that the connection is closed, as the client has not read for too long."""


class Cancellable(Protocol):
    """A task that answers a request and can be canceled."""

    def cancel(self) -> object:
        """End: the client left, or the service stops. If the service stops, the job may still answer."""

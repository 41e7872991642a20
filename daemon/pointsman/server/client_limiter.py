"""A limit on the requests that one client has in flight."""

from __future__ import annotations

from pointsman.errors import ConcurrencyLimited


class ClientLimiter:
    """The requests in flight by client address; only clients that have some are remembered."""

    def __init__(self) -> None:
        self._in_flight: dict[str, int] = {}

    def acquire(self, client: str, max_in_flight: int) -> None:
        """Count one more request of `client`, which may have `max_in_flight`; raises ConcurrencyLimited."""
        in_flight = self._in_flight.get(client, 0)
        if in_flight >= max_in_flight:
            raise ConcurrencyLimited(
                "too many requests of one client at once (pointsman.server.max_in_flight_per_client)"
            )
        self._in_flight[client] = in_flight + 1

    def release(self, client: str) -> None:
        """Uncount one request of `client`."""
        if left := self._in_flight.pop(client) - 1:
            self._in_flight[client] = left

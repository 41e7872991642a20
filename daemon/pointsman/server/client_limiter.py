"""How many requests each client has in flight, so that none takes them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointsman.errors import OverShare

if TYPE_CHECKING:
    from pointsman.server.connection import Connection


class Shares:
    """Leases, each for one request until the last byte of its answer; only clients that have one are remembered."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, connection: Connection, most: int) -> str:
        """A lease, of which a client has `most` at once; what it returns gives it back. Raises OverShare."""
        client = connection.client_address
        if client:
            taken = self._taken.get(client, 0)
            if taken >= most:
                raise OverShare("too many requests of one client at once (pointsman.server.max_in_flight_per_client)")
            self._taken[client] = taken + 1
        return client

    def give_back(self, client: str) -> None:
        """The request is over."""
        if left := self._taken.pop(client) - 1:
            self._taken[client] = left

"""The clients by address: the number of connections of each, and the choice of one to close for another. Pure."""

from __future__ import annotations

from typing import Generic, TypeVar

from pointsman.server.byte_budget import ByteBudget, ClientBudget
from pointsman.server.client import Client

C = TypeVar("C")


class Peer(Generic[C]):
    """One client, which may be `exempt` from the limits of one client.

    `silent` are its connections that have not sent a request yet, `idle` those between two requests, oldest first.
    """

    __slots__ = ("_key", "client_budget", "connections", "exempt", "idle", "silent")

    def __init__(self, key: str, client_budget: ClientBudget, *, exempt: bool) -> None:
        self._key = key
        self.exempt = exempt
        self.client_budget = client_budget
        self.connections = 0
        self.silent: dict[C, None] = {}
        self.idle: dict[C, None] = {}

    @property
    def rank(self) -> int:
        """The order in which connections are taken from clients; from exempt ones last."""
        return 0 if self.exempt else self.connections


class Peers(Generic[C]):
    """All clients that have a connection, ranked by the number of their connections."""

    def __init__(self, budget: ByteBudget) -> None:
        """Take `budget`, which is shared out among the clients."""
        self._budget = budget
        self._by_key: dict[str, Peer[C]] = {}
        self._ranks: list[dict[Peer[C], None]] = [{}]

    def opened(self, client: Client) -> Peer[C]:
        """Count a connection of `client`; trusted proxies, one by one, and Unix sockets are exempt."""
        exempt = not client.limited_as
        key = client.address if exempt else client.limited_as
        peer = self._by_key.get(key)
        if peer is None:
            peer = self._by_key[key] = Peer(key, ClientBudget(self._budget, limited=not exempt), exempt=exempt)
        else:
            del self._ranks[peer.rank][peer]
        peer.connections += 1
        if peer.rank == len(self._ranks):
            self._ranks.append({})
        self._ranks[peer.rank][peer] = None
        return peer

    def closed(self, peer: Peer[C], connection: C) -> None:
        """Uncount a connection."""
        peer.silent.pop(connection, None)
        peer.idle.pop(connection, None)
        del self._ranks[peer.rank][peer]
        peer.connections -= 1
        if peer.connections:
            self._ranks[peer.rank][peer] = None
        else:
            del self._by_key[peer._key]
        while len(self._ranks) > 1 and not self._ranks[-1]:
            self._ranks.pop()

    def victim(self) -> C | None:
        """Return the connection to close for a new one, or None if all are busy.

        It is one that has never been used, of the client with most of these, else an idle one.
        """
        spare: C | None = None
        for peers in reversed(self._ranks):
            for peer in peers:
                if peer.silent:
                    return next(iter(peer.silent))
                if spare is None and peer.idle:
                    spare = next(iter(peer.idle))
        return spare

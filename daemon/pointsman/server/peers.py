"""The clients by address: how many connections each has, and which one to close for another. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Generic, TypeVar

from pointsman.server.byte_budget import ByteBudget, Share

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# A host on the internet usually has a whole /64, so an address alone would not tell clients apart.
_IPV6_PREFIX = 64

C = TypeVar("C")


class Peer(Generic[C]):
    """One client. `name` is its address, empty where it is `exempt` from the limits of one client.

    `silent` are its connections that have not sent a request yet, `idle` those between two requests, oldest first.
    """

    __slots__ = ("_key", "connections", "exempt", "idle", "name", "share", "silent")

    def __init__(self, key: str, share: Share, *, exempt: bool) -> None:
        self._key = key
        self.name = "" if exempt else key
        self.exempt = exempt
        self.share = share
        self.connections = 0
        self.silent: dict[C, None] = {}
        self.idle: dict[C, None] = {}

    @property
    def rank(self) -> int:
        """How soon a connection is taken from it; from those that are exempt last."""
        return 0 if self.exempt else self.connections


class Peers(Generic[C]):
    """All clients that have a connection, ranked by the number of their connections."""

    def __init__(self, budget: ByteBudget) -> None:
        """`budget` is shared out among the clients."""
        self._budget = budget
        self._by_key: dict[str, Peer[C]] = {}
        self._ranks: list[dict[Peer[C], None]] = [{}]

    def opened(self, address: str, trusted: Sequence[Network]) -> Peer[C]:
        """Count a connection from `address`, empty for a Unix socket; proxies in `trusted` networks are exempt."""
        key, exempt = _client(address, trusted)
        peer = self._by_key.get(key)
        if peer is None:
            peer = self._by_key[key] = Peer(key, Share(self._budget, limited=not exempt), exempt=exempt)
        else:
            del self._ranks[peer.rank][peer]
        peer.connections += 1
        if peer.rank == len(self._ranks):
            self._ranks.append({})
        self._ranks[peer.rank][peer] = None
        return peer

    def closed(self, peer: Peer[C], connection: C) -> None:
        """Count a connection less."""
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

        It is one that has never been used, of the client with the most connections that has such, else an idle one.
        """
        spare: C | None = None
        for peers in reversed(self._ranks):
            for peer in peers:
                if peer.silent:
                    return next(iter(peer.silent))
                if spare is None and peer.idle:
                    spare = next(iter(peer.idle))
        return spare


def _client(address: str, trusted: Sequence[Network]) -> tuple[str, bool]:
    """Return what tells a client apart, and whether it is exempt."""
    if not address:
        return "", True
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    if any(ip in network for network in trusted):
        return str(ip), True
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, _IPV6_PREFIX), strict=False)), False
    return str(ip), False

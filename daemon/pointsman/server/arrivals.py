"""The requests whose bodies are still arriving, and the choice of the one to drop if there are too many. Pure."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

from pointsman.errors import ConcurrencyLimited

A = TypeVar("A")


class Arrivals(Generic[A]):
    """The arriving requests, in total and by client; only clients that have some are remembered."""

    def __init__(self) -> None:
        # An OrderedDict: finding the first key of a dict takes longer after deletions.
        self._by_client: dict[str, OrderedDict[A, None]] = {}
        self._ranks: list[OrderedDict[str, None]] = []  # the clients with one request, with two, ...
        self._total = 0

    def __len__(self) -> int:
        return self._total

    def enter(self, client: str, request: A, max_requests: int, *, limited: bool) -> A | None:
        """Count one more request; if there are more than `max_requests`, return the one to drop.

        That is the oldest of the client with the most, the new one included. Raises ConcurrencyLimited
        if a `limited` client has `max_requests` itself.
        """
        mine = self._by_client.get(client)
        if mine is None:
            mine = self._by_client[client] = OrderedDict()
        elif limited and len(mine) >= max_requests:
            raise ConcurrencyLimited(
                "too many request bodies of one client are arriving (half of pointsman.server.max_connections); send "
                "each right after its head"
            )
        mine[request] = None
        self._total += 1
        self._rank(client, len(mine) - 1, len(mine))
        if self._total <= max_requests:
            return None
        busiest = next(iter(self._ranks[-1]))
        oldest = next(iter(self._by_client[busiest]))
        self.leave(busiest, oldest)
        return oldest

    def leave(self, client: str, request: A) -> None:
        """Uncount a request; do nothing if it has left already."""
        mine = self._by_client.get(client)
        if mine is None or request not in mine:
            return
        del mine[request]
        self._total -= 1
        self._rank(client, len(mine) + 1, len(mine))
        if not mine:
            del self._by_client[client]

    def _rank(self, client: str, before: int, now: int) -> None:
        """Rank a client that had `before` requests and has one more or less `now`."""
        ranks = self._ranks
        if before:
            del ranks[before - 1][client]
        if now > len(ranks):
            ranks.append(OrderedDict())
        if now:
            ranks[now - 1][client] = None
        if not ranks[-1]:
            ranks.pop()

"""A bounded table that evicts the least recently used entry first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Lru(Generic[K, V]):
    """At most `capacity` entries; zero remembers nothing. Not for use from several threads."""

    __slots__ = ("_capacity", "_entries", "evicted")

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._entries: dict[K, V] = {}
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return a value and mark it as most recently used, or None."""
        value = self._entries.pop(key, None)
        if value is not None:
            self._entries[key] = value  # a dict keeps insertion order: the oldest is first
        return value

    def items(self) -> Iterable[tuple[K, V]]:
        """Return the entries, the least recently used first."""
        return self._entries.items()

    def resize(self, capacity: int) -> None:
        """Change the capacity; the oldest entries are evicted."""
        self._capacity = capacity
        while len(self._entries) > capacity:
            del self._entries[next(iter(self._entries))]
            self.evicted += 1

    def put(self, key: K, value: V) -> None:
        """Add or replace an entry; the oldest is evicted to make room."""
        if self._capacity == 0:
            return
        self._entries.pop(key, None)
        self._entries[key] = value
        if len(self._entries) > self._capacity:
            del self._entries[next(iter(self._entries))]
            self.evicted += 1

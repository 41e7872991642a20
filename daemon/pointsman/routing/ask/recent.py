"""Remember the asks of the messages read last: each step of a tool loop sends its message again.

A message is known by its own bytes: comparing 64 KiB takes 3 us, hashing 15, decoding 20 to 60.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from msgspec import Raw

from pointsman.routing.ask.ask import Ask

MAX_KEPT_BYTES = 2 * 1024 * 1024
"""Maximum for all entries together; decoded texts take up to four times as much in addition."""
MAX_ENTRY_BYTES = MAX_KEPT_BYTES // 4
# The size of an entry in addition to message and system prompt, if the ask has many steps.
_ENTRY_BYTES = 2048
_ENDS = 32

_Key: TypeAlias = tuple[int, bytes, bytes, str]


class _CachedAsk(NamedTuple):
    """The ask in a message."""

    content: Raw
    system: bytes
    ask: Ask


class AskCache:
    """The asks of one finder, by the content of a message and the system prompt above it, as JSON, and by client.

    The part of the system prompt that was read counts; None if it is too long to remember.
    """

    def __init__(self) -> None:
        self._entries: dict[_Key, _CachedAsk] = {}
        """By length, ends and client, the oldest first: the last of the messages that agree in these is known."""
        self._bytes = 0

    def get(self, content: Raw, system: bytes | None, client: str = "") -> Ask | None:
        """Return the ask, or None if it is not known."""
        key = _key(content, client)
        entry = self._entries.get(key)
        if entry is None or entry.system != system or entry.content != content:
            return None
        self._entries[key] = self._entries.pop(key)
        return entry.ask

    def put(self, content: Raw, system: bytes | None, ask: Ask, client: str = "") -> None:
        """Remember an ask, and drop the oldest ones for which there is no room."""
        size = memoryview(content).nbytes
        if size > MAX_ENTRY_BYTES or system is None:
            return
        key = _key(content, client)
        self._forget(key)
        self._entries[key] = _CachedAsk(content.copy(), system, ask)
        self._bytes += size + len(system) + _ENTRY_BYTES
        while self._bytes > MAX_KEPT_BYTES:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= memoryview(entry.content).nbytes + len(entry.system) + _ENTRY_BYTES


def _key(content: Raw, client: str) -> _Key:
    shown = memoryview(content)
    return shown.nbytes, bytes(shown[:_ENDS]), bytes(shown[-_ENDS:]), client

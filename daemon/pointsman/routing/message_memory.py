"""Remember what was read of messages, as each recurs in every later request of its conversation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec
from msgspec import Raw

from pointsman.routing.ask.ask import Ask

MAX_ASK_BYTES = 3 * 1024 * 1024
MAX_DIGEST_BYTES = 2 * 1024 * 1024
# A longer message is known by its texts, of which at most the ends are read. Of 64 KiB, to compare the JSON takes 3 us,
# to hash it 15, to decode it 20 to 60.
MAX_COMPARED_BYTES = 256 * 1024
MAX_HASHED_BYTES = 64 * 1024
_ENTRY_BYTES = 512
_STEP_BYTES = 256
_END_BYTES = 32

Key: TypeAlias = tuple[str | None, int, int]
"""Python's hash has a secret key, so nobody can make two messages collide."""


class KnownAsk(msgspec.Struct, frozen=True, gc=False):
    """The ask in a message under a system prompt, whose part that was read is `frame`.

    The message is known by its `content` as JSON, empty if it is known by its texts.
    """

    frame: bytes
    ask: Ask
    content: Raw = Raw()

    @property
    def size(self) -> int:
        """Return the bytes in memory."""
        ask, content = self.ask, memoryview(self.content).nbytes
        texts = sum(map(_bytes_of, (ask.text, ask.about, ask.line, *ask.others)))
        return _ENTRY_BYTES + len(self.frame) + content + texts + _STEP_BYTES * len(ask.steps)


class MessageDigest(msgspec.Struct, frozen=True, gc=False):
    """The text of a message in a history: `digest` is its hash, empty if there is no text; `excerpt` its beginning."""

    digest: bytes
    excerpt: str = ""

    @property
    def size(self) -> int:
        """Return the bytes in memory."""
        return _ENTRY_BYTES + _bytes_of(self.excerpt)


class _Sized(Protocol):
    @property
    def size(self) -> int: ...


V = TypeVar("V", bound=_Sized)


class SizedTable(Generic[V]):
    """Values of at most `max_bytes` together; the oldest is forgotten first, and a very large one never stored."""

    __slots__ = ("_bytes", "_entries", "_max_bytes", "get")

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._entries: dict[Key | None, V] = {}
        self._bytes = 0
        self.get: Callable[[Key | None], V | None] = self._entries.get
        """Return the value of a key, or None; None has no value."""

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, key: Key, value: V) -> None:
        """Store a value, and forget the oldest ones for which there is no room."""
        self._forget(key)
        size = value.size
        if size > self._max_bytes // 4:
            return
        self._entries[key] = value
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._forget(next(iter(self._entries)))

    def _forget(self, key: Key | None) -> None:
        value = self._entries.pop(key, None)
        if value is not None:
            self._bytes -= value.size


class MessageMemory:
    """The memory of messages; long asks drive out no digests."""

    def __init__(self) -> None:
        self.asks: SizedTable[KnownAsk] = SizedTable(MAX_ASK_BYTES)
        self.digests: SizedTable[MessageDigest] = SizedTable(MAX_DIGEST_BYTES)


def key_of(kind: str | None, said: bytes | str | tuple[str, ...], client: str) -> Key:
    """Return the key of what is known of a message of a client: its content as JSON, its texts, or its ask."""
    return kind, hash((client, said)), len(said)


def ends_key(content: Raw, client: str) -> Key:
    """Return the key of a message that is compared: of a client's with the same length and ends, the last is known."""
    shown = memoryview(content)
    return None, hash((client, bytes(shown[:_END_BYTES]), bytes(shown[-_END_BYTES:]))), shown.nbytes


def _bytes_of(text: str) -> int:
    """Return the bytes in memory of a text, whose UTF-8 may be there in addition."""
    return len(text) if text.isascii() else 4 * len(text)

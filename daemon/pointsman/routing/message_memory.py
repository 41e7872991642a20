"""Remember what was read of messages, as each recurs in every later request of its conversation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

if TYPE_CHECKING:
    from pointsman.routing.ask.ask import Ask

MAX_ASK_BYTES = 2 * 1024 * 1024
MAX_DIGEST_BYTES = 6 * 1024 * 1024
_ENTRY_BYTES = 384
_STEP_BYTES = 128


class MessageDigest(msgspec.Struct, frozen=True, gc=False):
    """The text of a message in a history: `digest` is its hash, empty if there is no text; `excerpt` its beginning."""

    digest: bytes
    excerpt: str = ""


V = TypeVar("V")


class SizedTable(Generic[V]):
    """Values of at most `max_bytes` together; the one that is unused for longest is forgotten first.

    One that would take a quarter is never stored. A key is Python's hash of what tells two values apart: the kind of
    value, the client, and the content as JSON, the texts or the ask. That hash has a secret key, so nobody can make two
    collide, and it takes a fifth of the time of BLAKE2. `peek` and `touch` are the two halves of `get`, to spare each
    message of a long history a call in Python.
    """

    __slots__ = ("_bytes", "_entries", "_max_bytes", "_size_of", "peek", "touch")

    def __init__(self, max_bytes: int, size_of: Callable[[V], int]) -> None:
        self._max_bytes, self._size_of = max_bytes, size_of
        self._entries: OrderedDict[int, V] = OrderedDict()
        self._bytes = 0
        self.peek: Callable[[int], V | None] = self._entries.get
        self.touch: Callable[[int], None] = self._entries.move_to_end

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: int) -> V | None:
        """Return the value of a key and mark it as used last, or None."""
        value = self.peek(key)
        if value is not None:
            self.touch(key)
        return value

    def put(self, key: int, value: V) -> None:
        """Store a value, and forget those for which there is no room."""
        former = self._entries.pop(key, None)
        if former is not None:
            self._bytes -= self._size_of(former)
        size = self._size_of(value)
        if size > self._max_bytes // 4:
            return
        self._entries[key] = value
        self._bytes += size
        while self._bytes > self._max_bytes:
            self._bytes -= self._size_of(self._entries.popitem(last=False)[1])


class MessageMemory:
    """The memory of messages; long asks drive out no digests."""

    def __init__(self) -> None:
        self.asks = SizedTable(MAX_ASK_BYTES, ask_bytes)
        self.digests = SizedTable(MAX_DIGEST_BYTES, digest_bytes)


def ask_bytes(ask: Ask) -> int:
    """Return the bytes in memory of an ask and its entry."""
    texts = sum(map(_bytes_of, (ask.text, ask.about, ask.line, *ask.others)))
    return _ENTRY_BYTES + texts + _STEP_BYTES * (len(ask.steps) + len(ask.others))


def digest_bytes(said: MessageDigest) -> int:
    """Return the bytes in memory of a digest and its entry."""
    text = said.excerpt
    if text.isascii():
        return _ENTRY_BYTES + len(text)
    wide = len(text.encode("utf-16-le", "surrogatepass")) > 2 * len(text)
    return _ENTRY_BYTES + (4 if wide else 2) * len(text)


def _bytes_of(text: str) -> int:
    """Return the bytes in memory of a text, whose UTF-8 may be there in addition."""
    return len(text) if text.isascii() else 4 * len(text)

"""Identify the conversation of a request; pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

# Hashing all of a long text would cost more than all else that routing does with it.
END_BYTES = 1024


class Conversation(msgspec.Struct, frozen=True):
    """A conversation: `key` is a hash of its first messages, the same in every turn.

    `follow_up`: the request contains an earlier response. `continues`: the last message is not the user's (a tool
    result, for example), so there is no new text to classify.
    """

    key: bytes
    follow_up: bool
    continues: bool


UNKNOWN = Conversation(b"", follow_up=False, continues=False)


def single_turn(text: str) -> Conversation:
    """Return the conversation of a request without messages."""
    key = conversation_key([text.encode("utf-8", "surrogatepass")])
    return Conversation(key, follow_up=False, continues=False)


def conversation_key(parts: Iterable[bytes | memoryview]) -> bytes:
    """Return a 16-byte hash; each part is hashed with its length, so that parts cannot run together.

    Of a long part its length and both ends are hashed.
    """
    pieces: list[bytes | memoryview] = []
    for part in parts:
        length = len(part)
        pieces.append(b"%d:" % length)
        pieces += [part] if length <= 2 * END_BYTES else [part[:END_BYTES], part[-END_BYTES:]]
    return hashlib.blake2b(b"".join(pieces), digest_size=16).digest()

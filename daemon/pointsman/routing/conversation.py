"""Identify the conversation of a request; pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec


class Conversation(msgspec.Struct, frozen=True):
    """A conversation: `key` is a hash of its first messages, the same in every turn.

    `follow_up`: the request contains an earlier response. `continues`: the last message is not the user's (a tool
    result, for example), so there is no new text to classify.
    """

    key: bytes
    follow_up: bool
    continues: bool


def single_turn(text: str) -> Conversation:
    """Return the conversation of a request without messages."""
    return Conversation(conversation_key([text.encode("utf-8", "surrogatepass")]), follow_up=False, continues=False)


def conversation_key(parts: Iterable[bytes]) -> bytes:
    """Return a 16-byte hash; each part is hashed with its length, so that parts cannot run together."""
    return hashlib.blake2b(b"".join([b"%d:%b" % (len(part), part) for part in parts]), digest_size=16).digest()

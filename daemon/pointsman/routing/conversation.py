"""Which conversation a request belongs to. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec


class Conversation(msgspec.Struct, frozen=True):
    """`key` is a hash of the first messages, the same in every turn. `follow_up`: there was an answer before.

    `continues`: the last message is not the user's (a tool's result, say), so there is no new text to judge.
    """

    key: bytes
    follow_up: bool
    continues: bool


def single_turn(text: str) -> Conversation:
    """Return the conversation of a request without messages."""
    return Conversation(conversation_key([text.encode("utf-8", "surrogatepass")]), follow_up=False, continues=False)


def conversation_key(parts: Iterable[bytes]) -> bytes:
    """Return a hash of 16 bytes; the parts' lengths keep them apart."""
    return hashlib.blake2b(b"".join([b"%d:%b" % (len(part), part) for part in parts]), digest_size=16).digest()

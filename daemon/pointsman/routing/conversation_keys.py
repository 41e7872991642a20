"""Identify the conversation of a request; pure functions."""

from __future__ import annotations

import hashlib

import msgspec

from pointsman.routing.history import MAX_TURNS, History, Turn


class Caller(msgspec.Struct, frozen=True, gc=False):
    """The sender of a request: `client` hashes its credentials, `session` names its session; empty if unknown."""

    client: str = ""
    session: str = ""


ANYBODY = Caller()


class ConversationKeys(msgspec.Struct, frozen=True, gc=False):
    """The keys under which a conversation is remembered.

    `own` is the key of the history up to the newest turn, `previous` up to the one before (None in a first turn),
    `session` that of the client's session (None without one). `continues` is the history's.
    """

    own: bytes
    previous: bytes | None
    session: bytes | None
    continues: bool


def conversation_of(history: History, caller: Caller) -> ConversationKeys | None:
    """Return the conversation of a history, or None without a user's turn."""
    if not history.turns:
        return None
    client, session = caller.client.encode(), caller.session.encode()
    who = b"%d:%b%d:%b" % (len(client), client, len(session), session)
    return ConversationKeys(
        _hash(who, history.turns[:MAX_TURNS]),
        _hash(who, history.turns[1 : 1 + MAX_TURNS]) if len(history.turns) > 1 else None,
        _hash(who, ()) if session else None,
        history.continues,
    )


def _hash(who: bytes, turns: tuple[Turn, ...]) -> bytes:
    """Return a 16-byte hash. The length of each part is hashed too, so that parts cannot run together."""
    parts = who
    for turn in turns:
        parts += b"%d:%b" % (len(turn.digest), turn.digest)
    return hashlib.blake2b(parts, digest_size=16).digest()

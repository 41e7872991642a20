"""Remember the decisions about conversations: bounded, and only for a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from pointsman.lru import Lru
from pointsman.routing.conversation import Conversation


class Kept(NamedTuple):
    """What later turns keep: the category, and the position in [0, 1) by which `split` chooses a model.

    `aside`: the turn itself is none of that category, but the fallback's, and so are its further steps.
    """

    category: str | None
    share: float
    aside: bool = False


class Recalled(msgspec.Struct, frozen=True):
    """What was remembered for a request of so many user turns: `kept` is None where nothing was.

    `continues`: the request goes on with its newest turn.
    """

    turns: int
    continues: bool
    kept: Kept | None


class Place(msgspec.Struct, frozen=True):
    """Where a request stands: `kept` of the conversation is None where it begins or is not known here.

    `share` is the conversation's position in a split, kept or drawn.
    """

    kept: Kept | None
    share: float


class _Entry(msgspec.Struct, frozen=True):
    """A decision: `since` is its time, `shared` tells that several conversations begin with it.

    `main`: it belongs to the conversation with which its session began, and not to a sub-agent's.
    """

    kept: Kept
    since: float
    shared: bool
    main: bool


class Conversations:
    """The latest decisions, by the history that they are about, and by session."""

    def __init__(self, clock: Callable[[], float], draw: Callable[[], float] = random.random) -> None:
        """`clock` returns seconds; `draw` a random number in [0, 1)."""
        self._clock = clock
        self._draw = draw
        self._seconds = 0.0
        self._entries: Lru[bytes, _Entry] = Lru(0)

    def resize(self, entries: int, seconds: float) -> None:
        """Keep at most so many entries, each for so many seconds."""
        self._seconds = seconds
        self._entries.resize(entries)

    def find(self, conversation: Conversation | None) -> Place:
        """Return what is remembered of a conversation."""
        if conversation is None:
            return Place(None, self._draw())
        first = conversation.previous is None
        own = self._get(conversation.own)
        if own is not None and (conversation.continues or not first):
            return Place(own.kept, own.kept.share)
        if first:  # asked again, it keeps the model, but its category is judged afresh
            return Place(None, self._draw() if own is None else own.kept.share)
        found = self._get(conversation.previous) or self._get(conversation.session)
        if found is None:
            return Place(None, self._draw())
        return Place(found.kept._replace(aside=False), self._draw() if found.shared else found.kept.share)

    def put(self, conversation: Conversation, kept: Kept) -> None:
        """Remember a decision about the newest turn."""
        now = self._clock()
        own, session = self._get(conversation.own), self._get(conversation.session)
        first = conversation.previous is None and not conversation.continues
        shared = own is not None and (own.shared or (first and conversation.session is None))
        if own is not None:
            main = own.main
        elif conversation.previous is None:
            main = session is None
        else:
            before = self._get(conversation.previous)
            main = session is None or before is None or before.main
        # A first turn that many share draws anew once its time is over, however often it comes.
        since = own.since if own is not None and first else now
        self._entries.put(conversation.own, _Entry(kept, since, shared, main))
        if conversation.session is not None and main:
            self._entries.put(conversation.session, _Entry(kept, now, shared=False, main=True))

    def _get(self, key: bytes | None) -> _Entry | None:
        entry = None if key is None else self._entries.get(key)
        return None if entry is None or entry.since + self._seconds < self._clock() else entry

"""Remember the decisions about conversations, bounded in number and time."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

from pointsman.lru import Lru
from pointsman.routing.conversation_keys import ConversationKeys
from pointsman.routing.history import History


class ConversationState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The decision that later turns reuse: the category, and the position in [0, 1) by which `split` chooses a model.

    `answered_by` is the category that answered the turn itself, and answers its further steps, if that is another;
    empty for the default model. `tools`: the turn began with tools. `unread`: nothing was known before, and the turn
    was not classified, so this counts for its further steps alone. `mixed`: the conversation drew anew after a turn
    that it shared with others, so the conversation is on more than one side.
    """

    category: str | None
    share: float
    answered_by: str | None = None
    tools: bool = False
    unread: bool = False
    mixed: bool = False


class ConversationRecall(msgspec.Struct, frozen=True, gc=False):
    """The result of looking up a request with this number of user turns; `remembered` is None if nothing was found.

    `same_turn`: the request is a further step of its newest turn.
    """

    turns: int
    same_turn: bool
    remembered: ConversationState | None


class ConversationLookup(msgspec.Struct, frozen=True, gc=False):
    """The position of a request in its conversation: `remembered` is None if the conversation begins or is not known
    here.

    `share` is the conversation's position in a split, remembered or drawn. `same_turn`: `remembered` is that of the
    request's own turn, and the request is a further step of that turn. `mixed` is that of `ConversationState`.
    """

    remembered: ConversationState | None
    share: float
    same_turn: bool = False
    mixed: bool = False


class Conversation(msgspec.Struct, frozen=True, gc=False):
    """The conversation of a request, and what is known of it; `keys` are None if it must not be remembered."""

    history: History
    lookup: ConversationLookup
    keys: ConversationKeys | None = None

    @property
    def recalled(self) -> ConversationRecall | None:
        """Return what was looked up, without the messages; None if no conversation counts."""
        if self is NO_CONVERSATION:
            return None
        return ConversationRecall(len(self.history.turns), self.lookup.same_turn, self.lookup.remembered)

    @property
    def began_with_tools(self) -> bool:
        """Return whether the request is a further step of a turn that began with tools."""
        remembered = self.lookup.remembered
        return self.lookup.same_turn and remembered is not None and remembered.tools


NO_CONVERSATION = Conversation(History((), False, []), ConversationLookup(None, 0.0))
"""That of a request whose messages are not read: it neither goes by a conversation nor is remembered in one."""


class _ConversationEntry(msgspec.Struct, frozen=True, gc=False):
    """A decision: `since` is its time, `shared` tells that several conversations begin with it.

    `began` identifies the conversation by its first known turn. `once`, of a session: a single request without tools is
    known so far, which may be a probe or a helper task.
    """

    remembered: ConversationState
    since: float
    shared: bool
    began: bytes
    once: bool = False


class ConversationStore:
    """The latest decisions, by history and by session."""

    def __init__(self, clock: Callable[[], float], draw: Callable[[], float] = random.random) -> None:
        """Take a `clock` in seconds, and `draw`, which returns a random number in [0, 1)."""
        self._clock = clock
        self._draw = draw
        self._seconds = 0.0
        self._entries: Lru[bytes, _ConversationEntry] = Lru(0)

    def resize(self, entries: int, seconds: float) -> None:
        """Set the maximum number of entries, and their lifetime in seconds."""
        self._seconds = seconds
        self._entries.resize(entries)

    def find(self, conversation: ConversationKeys | None) -> ConversationLookup:
        """Return the remembered decision about a conversation."""
        if conversation is None:
            return ConversationLookup(None, self._draw())
        own = self._get(conversation.own)
        if own is not None and conversation.continues:
            return ConversationLookup(own.remembered, own.remembered.share, same_turn=True, mixed=own.remembered.mixed)
        if conversation.previous is None:  # a repeated first turn keeps its model, but its category is judged afresh
            return ConversationLookup(None, self._draw() if own is None else own.remembered.share)
        if own is not None and not own.remembered.unread:
            return ConversationLookup(own.remembered, own.remembered.share, mixed=own.remembered.mixed)
        before = self._get(conversation.previous)
        found = before or self._get(conversation.session)
        if found is None:
            return ConversationLookup(None, self._draw() if own is None else own.remembered.share)
        share = self._draw() if found.shared else found.remembered.share
        mixed = found.shared or found.remembered.mixed
        if found.remembered.unread or found.once:
            return ConversationLookup(None, share, mixed=mixed)
        return ConversationLookup(
            found.remembered, share, same_turn=before is None and conversation.continues, mixed=mixed
        )

    def put(self, conversation: ConversationKeys, remembered: ConversationState) -> None:
        """Remember a decision about the newest turn.

        A session takes the decision of the conversation that it began with, not that of a sub-agent; but after a single
        request without tools, that of the first conversation that has tools or continues.
        """
        now = self._clock()
        own = self._get(conversation.own)
        session = None if conversation.session is None else self._get(conversation.session)
        first = conversation.previous is None and not conversation.continues
        shared = own is not None and (own.shared or (first and conversation.session is None))
        began = self._began(conversation, own, session)
        # A first turn that many conversations share draws anew after its lifetime, however often it comes.
        since = own.since if own is not None and first else now
        self._entries.put(conversation.own, _ConversationEntry(remembered, since, shared, began))
        once = first and not remembered.tools
        if conversation.session is not None and (
            session is None or session.began == began or (session.once and not once)
        ):
            self._entries.put(
                conversation.session, _ConversationEntry(remembered, now, shared=False, began=began, once=once)
            )

    def _began(
        self, conversation: ConversationKeys, own: _ConversationEntry | None, session: _ConversationEntry | None
    ) -> bytes:
        """Return the first known turn of a conversation; one with an unknown history is identified by its session."""
        found = own
        if found is None and conversation.previous is not None:
            found = self._get(conversation.previous) or session
        return conversation.own if found is None else found.began

    def _get(self, key: bytes | None) -> _ConversationEntry | None:
        entry = None if key is None else self._entries.get(key)
        return None if entry is None or entry.since + self._seconds < self._clock() else entry

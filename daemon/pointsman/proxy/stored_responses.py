"""Remember the owners of the responses that vLLM stores, and their endpoints. Pure, except for the clock.

vLLM finds a stored response by its id alone, in the memory of one process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pointsman.routing.conversations import ConversationState

# With its id, an entry takes 150 bytes in the file and 600 in memory.
ENTRIES = 10_000
# Once all entries are in use, a client with more than this share displaces its own.
SHARE = ENTRIES // 4
# As long as OpenAI stores a response. vLLM stores one until it restarts.
KEPT_SECONDS = 30 * 86_400.0


class StoredResponse(NamedTuple):
    """A stored response: `client` is the hash of its credentials, `since` is in seconds since the epoch.

    `remembered` is the part of the decision that a continuation reuses; None if the client chose the model.
    """

    id: str
    client: str
    endpoint: str
    since: float
    remembered: ConversationState | None = None


class StoredResponses:
    """The stored responses: `add` remembers one, `find` finds a client's."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take `clock`, which returns the seconds since the epoch."""
        self._clock = clock
        self._entries: dict[str, StoredResponse] = {}
        """By id, the oldest first."""
        self._of: dict[str, dict[str, None]] = {}
        """The ids of each client, the oldest first."""
        self.on_add: Callable[[StoredResponse], object] = lambda _: None
        """Called with each response that was added."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, response_id: str, client: str, endpoint: str, remembered: ConversationState | None = None) -> None:
        """Remember a response, and drop the oldest if there is no room."""
        now = self._clock()
        entry = StoredResponse(response_id, client, endpoint, now, remembered)
        self._put(entry)
        while (oldest := next(iter(self._entries.values()))).since + KEPT_SECONDS < now:
            self._forget(oldest)
        self.on_add(entry)

    def find(self, response_id: str, client: str) -> StoredResponse | None:
        """Return the entry of a response of this client; None for other clients."""
        entry = self._entries.get(response_id)
        if entry is None or entry.client != client or entry.since + KEPT_SECONDS < self._clock():
            return None
        return entry

    def entries(self) -> list[StoredResponse]:
        """Return all entries, the oldest first."""
        return list(self._entries.values())

    def restore(self, entries: Iterable[StoredResponse]) -> None:
        """Restore entries of an earlier process."""
        now = self._clock()
        for entry in entries:
            if entry.since + KEPT_SECONDS >= now:
                self._put(entry)

    def _put(self, entry: StoredResponse) -> None:
        if (former := self._entries.get(entry.id)) is not None:
            self._forget(former)
        own = self._of.get(entry.client, {})
        if len(self._entries) >= ENTRIES:
            displaced = next(iter(own if len(own) > SHARE else self._entries))
            self._forget(self._entries[displaced])
        self._entries[entry.id] = entry
        self._of.setdefault(entry.client, {})[entry.id] = None

    def _forget(self, entry: StoredResponse) -> None:
        del self._entries[entry.id]
        own = self._of[entry.client]
        del own[entry.id]
        if not own:
            del self._of[entry.client]

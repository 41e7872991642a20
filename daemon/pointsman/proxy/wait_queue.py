"""Order the requests that wait for an endpoint which does not accept connections. Pure.

They are released in a ramp, so that an endpoint that just came back does not get all at once, and round-robin by
client, so that nobody waits for all requests of another.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import chain, zip_longest


@dataclass(frozen=True, slots=True, eq=False)
class WaitingRequest:
    """A request that waits: `endpoints` are the names of those that may take it."""

    client: str
    endpoints: frozenset[str]


class WaitQueue:
    """The requests that wait; `release` is called at regular times."""

    def __init__(self) -> None:
        self._of: dict[str, dict[WaitingRequest, None]] = {}
        """The requests of each client in their order; first the client whose turn is next."""
        self._batch = 1

    def __bool__(self) -> bool:
        return bool(self._of)

    def add(self, request: WaitingRequest) -> None:
        """Let a request wait, after those of its client."""
        self._of.setdefault(request.client, {})[request] = None

    def remove(self, request: WaitingRequest) -> None:
        """Drop a request; do nothing if it was released."""
        own = self._of.get(request.client, {})
        own.pop(request, None)
        if not own:
            self._of.pop(request.client, None)

    def refused(self) -> None:
        """Begin the ramp anew: a request that was released was not accepted."""
        self._batch = 1

    def release(self, up: Collection[str]) -> list[WaitingRequest]:
        """Return the requests that may be sent now to one of the endpoints in `up`: one, then two, four, and so on."""
        rounds = zip_longest(
            *([request for request in own if not request.endpoints.isdisjoint(up)] for own in self._of.values())
        )
        released = [request for request in chain.from_iterable(rounds) if request is not None][: self._batch]
        self._batch = 2 * self._batch if released else 1
        for request in released:
            own = self._of.pop(request.client)
            del own[request]
            if own:
                self._of[request.client] = own  # after the clients that were not served
        return released

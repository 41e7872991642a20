"""Refuse a query of death: a request that was in flight each time an engine died. Pure, except for the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pointsman.long_body import Body, pieces_of
from pointsman.lru import Lru

# With more requests in flight, each of them is unlikely to be the cause.
MAX_SUSPECTS = 3
DEATHS = 2
REFUSED_SECONDS = 60.0
# A dead vLLM refuses connections after 0.3 s. Its health is probed every 2 s, and may take 5 s to fail.
CONFIRM_SECONDS = 10.0
# A large model takes many minutes to load again.
REMEMBERED_SECONDS = 3600.0
ENTRIES = 1024
MAX_REFUSED_BODIES = 256
# Hashing this takes at most 5 ms; a larger body is never a suspect.
MAX_SUSPECT_BODY_BYTES = 4 * 2**20


class Suspect(NamedTuple):
    """A request in flight; `client` identifies the sender."""

    client: str
    request_id: str
    body: Body


class _BodyKey(NamedTuple):
    """The key of one client's body; comparing the length spares hashing most others."""

    client: str
    length: int
    digest: bytes


@dataclass(slots=True)
class _EndpointFailure:
    """The requests in flight at an endpoint when one of them failed."""

    since: float
    suspects: Sequence[Suspect]


class Quarantine:
    """A quarantine: learns of failures (`failed`) and dead endpoints (`dead`), and refuses requests (`refuses`).

    A death is a failure after which a connection or a health check fails. Failures of requests that an endpoint got
    before it was known to be dead are not deaths of their own: it died already, or is being stopped.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take `clock`, which returns seconds of any steady clock."""
        self._clock = clock
        self._troubles: dict[str, _EndpointFailure] = {}
        self._dead_at: dict[str, float] = {}
        self._deaths: Lru[_BodyKey, tuple[int, float]] = Lru(ENTRIES)
        self._refused: dict[_BodyKey, float] = {}

    def failed(self, endpoint: str, sent: float, suspects: Iterable[Suspect]) -> bool:
        """Record that a request, sent at `sent`, failed while these were in flight; return whether that is news.

        The caller calls `forget` CONFIRM_SECONDS after news, so that no body is stored for longer.
        """
        trouble = self._troubles.get(endpoint)
        if sent <= self._dead_at.get(endpoint, float("-inf")) or (trouble is not None and sent <= trouble.since):
            return False
        found = [suspect for suspect in suspects if len(suspect.body) <= MAX_SUSPECT_BODY_BYTES]
        self._troubles[endpoint] = _EndpointFailure(self._clock(), found if len(found) <= MAX_SUSPECTS else ())
        return True

    def forget(self, endpoint: str) -> None:
        """Drop a trouble that was not confirmed in time."""
        trouble = self._troubles.get(endpoint)
        if trouble is not None and self._clock() >= trouble.since + CONFIRM_SECONDS:
            del self._troubles[endpoint]

    def dead(self, endpoint: str) -> Sequence[Suspect] | None:
        """Record that an endpoint does not answer; return the requests refused from now on, or None if no death."""
        now = self._dead_at[endpoint] = self._clock()
        trouble = self._troubles.pop(endpoint, None)
        if trouble is None or now > trouble.since + CONFIRM_SECONDS:
            return None
        # A request that was in flight there more than once is one suspect: this is one death.
        suspects = {_key(suspect.client, suspect.body): suspect for suspect in trouble.suspects}
        return [suspect for key, suspect in suspects.items() if self._condemned(key, now)]

    def _condemned(self, key: _BodyKey, now: float) -> bool:
        deaths, last = self._deaths.get(key) or (0, now)
        deaths = deaths + 1 if now <= last + REMEMBERED_SECONDS else 1
        self._deaths.put(key, (deaths, now))
        if deaths < DEATHS:
            return False
        self._refused.pop(key, None)
        self._refused[key] = now + REFUSED_SECONDS
        if len(self._refused) > MAX_REFUSED_BODIES:
            del self._refused[next(iter(self._refused))]  # the oldest
        return True

    @property
    def empty(self) -> bool:
        """True while no request is refused."""
        return not self._refused

    def refuses(self, client: str, body: Body) -> bool:
        """Return whether a request is refused now."""
        now = self._clock()
        for key in [key for key, until in self._refused.items() if until <= now]:
            del self._refused[key]
        alike = any((key.client, key.length) == (client, len(body)) for key in self._refused)
        return alike and _key(client, body) in self._refused


def _key(client: str, body: Body) -> _BodyKey:
    digest = hashlib.sha256()
    for piece in pieces_of(body):
        digest.update(piece)
    return _BodyKey(client, len(body), digest.digest())

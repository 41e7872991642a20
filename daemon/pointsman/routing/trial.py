"""Judge canaries by how their requests end, against the stable arm in the same time; pure.

What counts is the conversation that was drawn, not its requests.
"""

from __future__ import annotations

import statistics
from collections import Counter, deque
from collections.abc import Iterable
from typing import NamedTuple

from pointsman.config.model import Canary
from pointsman.routing.canaries import Arm

# So many conversations of each arm are needed, and so many of the last ones count.
LEAST_DRAWS = 50
MOST_DRAWS = 1_000
WINDOW_SECONDS = 3_600.0
# A model that an endpoint was not asked for so long may have to be loaded first.
COLD_SECONDS = 300.0
# To judge takes half a millisecond at worst.
PAUSE_SECONDS = 1.0


_ARMS = (Arm.CANARY, Arm.STABLE)


class Ended(NamedTuple):
    """How a request of a conversation ended: `draw` identifies the conversation, `client` whose it is.

    `first_byte` is in seconds; None if there was none.
    """

    arm: Arm
    draw: float
    client: str
    failed: bool
    first_byte: float | None
    model: str
    endpoint: str
    at: float


class _Draw:
    """A conversation: whether a request of it failed, and the first byte of its first warm one."""

    __slots__ = ("at", "client", "failed", "first_byte")

    def __init__(self, client: str, at: float) -> None:
        self.client, self.at = client, at
        self.failed = False
        self.first_byte: float | None = None


class Trial:
    """The latest conversations of both arms of one canary."""

    def __init__(self, canary: Canary) -> None:
        self.canary = canary
        self._draws: dict[Arm, dict[float, _Draw]] = {arm: {} for arm in _ARMS}
        self._asked: dict[tuple[str, str], float] = {}
        self._judged = -PAUSE_SECONDS

    def add(self, ended: Ended) -> str | None:
        """Count a request that has ended; return why the canary must be rolled back, None if it need not.

        That is judged at most once in PAUSE_SECONDS.
        """
        draws = self._draws[ended.arm]
        draw = draws.get(ended.draw)
        if draw is None:
            draw = draws[ended.draw] = _Draw(ended.client, ended.at)
            while len(draws) > MOST_DRAWS:
                del draws[next(iter(draws))]
        draw.failed |= ended.failed
        warm = self._warm(ended)
        if warm and draw.first_byte is None and not ended.failed:
            draw.first_byte = ended.first_byte
        if ended.at - self._judged < PAUSE_SECONDS:
            return None
        self._judged = ended.at
        return self._verdict(ended.at)

    def _warm(self, ended: Ended) -> bool:
        """Return whether the model was in use at the endpoint; of those there are few."""
        key = ended.model, ended.endpoint
        before = self._asked.get(key)
        self._asked[key] = ended.at
        return before is not None and ended.at - before < COLD_SECONDS

    def _verdict(self, now: float) -> str | None:
        canary, stable = (self._counted(arm, now) for arm in _ARMS)
        if min(len(canary), len(stable)) < LEAST_DRAWS:
            return None
        failures = [sum(draw.failed for draw in draws) / len(draws) for draws in (canary, stable)]
        if failures[0] - failures[1] > self.canary.max_failures:
            return f"{failures[0]:.1%} of {len(canary)} conversations failed, of the stable arm {failures[1]:.1%}"
        times = [[draw.first_byte for draw in draws if draw.first_byte is not None] for draws in (canary, stable)]
        if min(map(len, times)) < LEAST_DRAWS:
            return None
        slow, usual = map(statistics.median, times)
        if slow > self.canary.max_first_byte * usual:
            return f"the first byte takes {slow * 1000:,.0f} ms (median), that of the stable arm {usual * 1000:,.0f} ms"
        return None

    def _counted(self, arm: Arm, now: float) -> list[_Draw]:
        """Return the draws of the window; of one client among others no more than half of them."""
        draws = self._draws[arm]
        while draws and next(iter(draws.values())).at < now - WINDOW_SECONDS:
            del draws[next(iter(draws))]
        return list(_even(draws.values()))

    def counts(self) -> dict[str, int]:
        """Return the number of conversations of each arm."""
        return {arm.value: len(draws) for arm, draws in self._draws.items()}


def _even(draws: Iterable[_Draw]) -> Iterable[_Draw]:
    found = list(draws)
    (client, most), *_ = Counter(draw.client for draw in found).most_common(1) or [("", 0)]
    others = len(found) - most
    if most <= others or not others:
        return found
    latest = deque((draw for draw in found if draw.client == client), maxlen=others)
    kept = set(map(id, latest))
    return [draw for draw in found if draw.client != client or id(draw) in kept]

"""Judge canaries by how their conversations end, against those of the stable arm in the same time; pure.

A canary is rolled back where the difference is certain and exceeds what the operator permits. That is asked of all
conversations since the start, and afresh in each hour, as a long good time hides a bad hour. Each question has a part
of the probability of a false answer, and the parts of all hours add up to that of the start.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from pointsman.config.model import Canary
from pointsman.experiments.sequential import Moments, Sample, Share, at_most_half, difference, shares_differ
from pointsman.lru import Lru
from pointsman.routing.canaries import Arm

ALPHA = 0.01
"""Probability that a canary like the stable arm is ever rolled back."""
SCALE = 0.2
"""Differences of the logarithm of the first byte that matter: a fifth."""
# Fewer conversations of an arm may have met the same short trouble.
MIN_CONVERSATIONS = 10
# Conversations of each arm that are known to count once, and groups of clients by their hash; 300 bytes each.
MAX_CONVERSATIONS = 2_000
MAX_CLIENTS = 512
HOUR_SECONDS = 3_600.0
# A model that an endpoint was not asked for so long may have to be loaded first.
COLD_SECONDS = 300.0
# To judge takes a millisecond at worst.
PAUSE_SECONDS = 1.0

_ARMS = (Arm.CANARY, Arm.STABLE)


class RequestOutcome(NamedTuple):
    """The end of a request of a conversation, which `draw` identifies and which belongs to `client`.

    `first_byte` is in seconds, None without one.
    """

    arm: Arm
    draw: float
    client: str
    failed: bool
    first_byte: float | None
    model: str
    endpoint: str
    at: float


class _CanaryClient:
    """Conversations of one client, or of few: how many, how many failed, and the logarithms of their first bytes."""

    __slots__ = ("conversations", "failed", "first_bytes")

    def __init__(self) -> None:
        self.conversations = self.failed = 0
        self.first_bytes = Moments()


class _CanaryConversation:
    """A conversation that counts for a client."""

    __slots__ = ("client", "failed", "timed")

    def __init__(self, client: _CanaryClient) -> None:
        self.client = client
        self.failed = self.timed = False


class _CanaryArm:
    """The conversations of one arm."""

    def __init__(self) -> None:
        self._known: Lru[float, _CanaryConversation] = Lru(MAX_CONVERSATIONS)
        self._clients: dict[int, _CanaryClient] = {}
        self.conversations = 0

    def add(self, outcome: RequestOutcome, *, warm: bool) -> None:
        """Count a request; its conversation fails once, and has the first byte of its first warm request."""
        one = self._known.get(outcome.draw)
        if one is None:
            client = self._clients.setdefault(hash(outcome.client) % MAX_CLIENTS, _CanaryClient())
            one = _CanaryConversation(client)
            client.conversations += 1
            self.conversations += 1
        self._known.put(outcome.draw, one)
        if outcome.failed:
            one.client.failed += not one.failed
            one.failed = True
        elif warm and outcome.first_byte and not one.timed:
            one.timed = True
            one.client.first_bytes.add(math.log(outcome.first_byte))

    def failures(self) -> Share:
        """Return how many conversations failed, and how many there are, of those that count."""
        rows, failed = at_most_half([(one.conversations, one.failed) for one in self._clients.values()])
        return failed, round(rows)

    def first_bytes(self) -> Sample:
        """Return the logarithms of the first bytes, of those that count."""
        found = [one.first_bytes for one in self._clients.values()]
        rows, *sums = at_most_half([(one.rows, one.total, one.squares) for one in found])
        return Moments(round(rows), *sums).sample()


class _CanaryTest:
    """Both arms over some time."""

    def __init__(self) -> None:
        self.sides = {arm: _CanaryArm() for arm in _ARMS}

    def verdict(self, canary: Canary, alpha: float) -> str | None:
        """Return why the canary must be rolled back; a wrong answer has at most the probability `alpha`."""
        sides = [self.sides[arm] for arm in _ARMS]
        if min(side.conversations for side in sides) < MIN_CONVERSATIONS:
            return None
        found, usual = (side.failures() for side in sides)
        if min(found[1], usual[1]) < MIN_CONVERSATIONS:
            return None
        if _share(found) - _share(usual) > canary.max_failures and shares_differ(found, usual, alpha / 2):
            return f"{_share(found):.1%} of {found[1]} conversations failed, of the stable arm {_share(usual):.1%}"
        slow, quick = (side.first_bytes() for side in sides)
        slower = difference(slow, quick, SCALE, alpha / 2)
        if slower is not None and slower.low > 0 and slower.value > math.log(canary.max_first_byte):
            slow_ms, quick_ms = (f"{1000 * math.exp(sample.mean):,.0f} ms" for sample in (slow, quick))
            return f"the first byte takes {slow_ms}, that of the stable arm {quick_ms} (geometric means)"
        return None


def _share(found: Share) -> float:
    return found[0] / found[1]


class CanaryAnalysis:
    """The conversations of both arms of one canary: all of them, and those with a request in the current hour."""

    def __init__(self, canary: Canary) -> None:
        self.canary = canary
        self._whole = _CanaryTest()
        self._hour = _CanaryTest()
        self._hours = 0
        self._started: float | None = None
        self._asked: dict[tuple[str, str], float] = {}
        self._judged = -math.inf

    def add(self, outcome: RequestOutcome) -> str | None:
        """Count a request that has ended; return why the canary must be rolled back, None if it need not.

        That is judged at most once in PAUSE_SECONDS.
        """
        self._started = outcome.at if self._started is None else self._started
        if (hours := int(max(0.0, outcome.at - self._started) // HOUR_SECONDS) + 1) != self._hours:
            self._hour, self._hours = _CanaryTest(), hours
        warm = self._warm(outcome)
        for test in (self._whole, self._hour):
            test.sides[outcome.arm].add(outcome, warm=warm)
        if 0.0 <= outcome.at - self._judged < PAUSE_SECONDS:  # less than 0: the clock was set back
            return None
        self._judged = outcome.at
        # The sum of 1 / (n * (n + 1)) over all hours is 1.
        hourly = ALPHA / 2 / (self._hours * (self._hours + 1))
        return self._whole.verdict(self.canary, ALPHA / 2) or self._hour.verdict(self.canary, hourly)

    def _warm(self, outcome: RequestOutcome) -> bool:
        """Return whether the model was in use at the endpoint; of those there are few."""
        key = outcome.model, outcome.endpoint
        before = self._asked.get(key)
        self._asked[key] = outcome.at
        return before is not None and outcome.at - before < COLD_SECONDS

    def counts(self) -> dict[str, int]:
        """Return the number of conversations of each arm."""
        return {arm.value: side.conversations for arm, side in self._whole.sides.items()}

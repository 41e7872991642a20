"""Divide the time of a soak into quiet phases and attacks. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ATTACK_SECONDS, QUIET_SECONDS = 75.0, 45.0
"""An attack outlasts `server.send_timeout_ms` and `classifier.load_timeout_ms`, which are 60 s."""
SETTLE_SECONDS = 10.0
MIN_PAIRS = 12
"""One for each attack."""
SHORT_LOAD_TIMEOUT_MS = 2000


@dataclass(frozen=True, slots=True)
class SoakPlan:
    """A number of pairs of a quiet phase and an attack, and a quiet phase at the end."""

    pairs: int
    attack_s: float
    quiet_s: float
    settle_s: float

    @property
    def full(self) -> bool:
        """Return whether the phases have the length that the timeouts of the default configuration need."""
        return self.attack_s >= ATTACK_SECONDS

    def options(self) -> dict[str, Any]:
        """Return the keys of `pointsman` that are not the defaults: none, in a full run."""
        return {} if self.full else {"classifier": {"load_timeout_ms": SHORT_LOAD_TIMEOUT_MS}}


def plan(seconds: float) -> SoakPlan:
    """Return a plan of about this length, with every attack at least once."""
    pair = ATTACK_SECONDS + QUIET_SECONDS
    if seconds >= MIN_PAIRS * pair:
        return SoakPlan(int(seconds // pair), ATTACK_SECONDS, QUIET_SECONDS, SETTLE_SECONDS)
    short = seconds / MIN_PAIRS / pair
    return SoakPlan(MIN_PAIRS, ATTACK_SECONDS * short, QUIET_SECONDS * short, SETTLE_SECONDS * short)
